package httproute

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"kong-traffic-split/plugin/config"
)

// RefusedByPlugin is how the message of a problem begins that the plugin would have with a
// split.
const RefusedByPlugin = "the plugin would refuse this: "

// checkedSplit is the config of a split, and what the plugin would refuse of it.
type checkedSplit struct {
	plan     *plan
	config   object
	err      error
	problems []config.Problem
}

// checkSplits reports what the plugin would refuse of the configs of splits. It checks
// several at a time, and reports in their order.
func (c *converter) checkSplits() {
	var options []config.Option
	if c.options.To != Splits {
		options = append(options, config.References)
	}
	each(c.splits, func(s *checkedSplit) {
		var text strings.Builder
		s.config.json(&text)
		var n *config.Node
		if n, s.err = config.ParseKong([]byte(text.String())); s.err == nil {
			var decoded *config.Config
			if decoded, s.problems = config.DecodeRow(n, options...); s.problems == nil {
				service := config.NewService("http", "")
				if s.plan.rule.route.grpc {
					service.Protocol = "grpc"
				}
				s.err = decoded.RefuseRetry(&service, s.plan.preserve)
			}
		}
	})
	for _, s := range c.splits {
		s.report()
	}
}

func (s *checkedSplit) report() {
	p := s.plan
	if s.err != nil {
		p.rule.route.doc.refuse(p.rule.at, "the plugin would refuse the split: %v", s.err)
	}
	for _, problem := range s.problems {
		key := problem.Path[:strings.IndexAny(problem.Path+".", ".[")]
		if plugin := p.ownFrom[key]; plugin != nil {
			plugin.doc.leave((*trail)(nil).fields("config", key), RefusedByPlugin+"%v", problem)
			continue
		}
		if problem.Path == "" && len(p.ownConfig) > 0 {
			p.ownFrom[p.ownConfig[0].key].doc.leave((*trail)(nil).field("config"), RefusedByPlugin+"%v", problem)
			continue
		}
		p.rule.route.doc.leave(p.cause(problem.Path), RefusedByPlugin+"%v", problem)
	}
}

var (
	inBackend = regexp.MustCompile(`^backends\[(\d+)\]`)
	inMirror  = regexp.MustCompile(`^mirror\[(\d+)\]`)
)

// cause is where a part of a split comes from.
func (p *plan) cause(path string) *trail {
	if m := inBackend.FindStringSubmatch(path); m != nil {
		if i, err := strconv.Atoi(m[1]); err == nil && i < len(p.backends) {
			return p.backends[i].ref.at
		}
	}
	if m := inMirror.FindStringSubmatch(path); m != nil {
		if i, err := strconv.Atoi(m[1]); err == nil && i < len(p.mirrors) {
			return p.mirrors[i].mirror.at
		}
	}
	if strings.HasPrefix(path, "session") {
		return p.rule.at.field("sessionPersistence")
	}
	return p.rule.at
}

// json writes a mapping as JSON.
func (o object) json(b *strings.Builder) {
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(jsonString(m.key) + ":")
		switch v := m.value.(type) {
		case object:
			v.json(b)
		case []object:
			b.WriteByte('[')
			for i, item := range v {
				if i > 0 {
					b.WriteByte(',')
				}
				item.json(b)
			}
			b.WriteByte(']')
		case []string:
			b.WriteByte('[')
			for i, s := range v {
				if i > 0 {
					b.WriteByte(',')
				}
				b.WriteString(jsonString(s))
			}
			b.WriteByte(']')
		case string:
			b.WriteString(jsonString(v))
		case json.RawMessage:
			b.Write(v)
		default:
			fmt.Fprint(b, v)
		}
	}
	b.WriteByte('}')
}
