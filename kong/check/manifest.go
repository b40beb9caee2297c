package check

import (
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"kong-traffic-split/kong/declarative"
	"kong-traffic-split/kong/httproute"
	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/file"
)

var refusedRoute = &Check{
	ID: "refused-route", Severity: Error, refusal: true,
	Doc: "A manifest that `splitctl convert` refuses: what the Gateway API forbids, what is missing, or what cannot be expressed.",
}

var otherInKong = &Check{
	ID: "other-in-kong", Severity: Warning,
	Doc: "What Kong does otherwise than a manifest says, such as a timeout for each read and not for the whole request.",
}

// readManifests converts all manifests, as they refer to each other, and reads what they become:
// what is wrong with that is wrong with the rule that it comes from.
func (c *checker) readManifests() {
	if len(c.manifests) == 0 {
		return
	}
	out, problems := httproute.Convert(c.manifests, httproute.Options{})
	type spot struct {
		file         string
		line, column int
	}
	said := map[spot]bool{} // of KongPlugins, which were read for themselves
	for _, f := range c.findings {
		said[spot{f.File, f.Line, f.Column}] = true
	}
	for _, p := range problems {
		if said[spot{p.File, p.Line, p.Column}] {
			continue
		}
		check := refusedRoute
		if p.Message == httproute.NoWeight {
			check = noWeight
		} else if p.Warning {
			if check = otherInKong; p.Path == "kind" { // such as a Deployment, which routes do not need
				continue
			}
		}
		c.report(check, p.File, config.Problem{Path: strings.TrimPrefix(p.Object+": "+p.Path, ": "), Line: p.Line, Column: p.Column, Message: p.Message})
	}
	if out == nil {
		return
	}
	index, problem := file.NewIndex(string(out.Kong))
	parsed, err := declarative.Parse(out.Kong)
	if problem != nil || err != nil {
		return // it has been made by us
	}
	k, problem := newKong(converted, parsed, index)
	if problem != nil {
		return
	}
	k.origins = rulesOf(c.manifests)
	c.findings = append(c.findings, k.refused(c.options)...)
	c.kongs = append(c.kongs, k)
}

// converted is the name of what manifests become, which no file has.
const converted = "\x00"

// origin is where in a manifest something comes from.
type origin struct {
	file, path   string
	line, column int
}

// rulesOf finds the rules of routes in manifests, by the beginning of the names that Services
// and routes of Kong's have of them.
func rulesOf(sources []httproute.Source) map[string]origin {
	all := map[string]origin{}
	for _, s := range sources {
		for _, y := range objects(s.Data) {
			kind := text(y, "kind")
			if kind != "HTTPRoute" && kind != "GRPCRoute" {
				continue
			}
			namespace, name := text(y, "metadata", "namespace"), text(y, "metadata", "name")
			if namespace == "" {
				namespace = "default"
			}
			rules := lookup(y, "spec", "rules")
			if rules == nil || rules.Kind != yaml.SequenceNode {
				continue
			}
			for i, rule := range rules.Content {
				all[fmt.Sprintf("%s.%s.%s.%d", strings.ToLower(kind), namespace, name, i)] = origin{
					s.Name, fmt.Sprintf("%s %s/%s: spec.rules[%d]", kind, namespace, name, i), rule.Line, rule.Column,
				}
			}
		}
	}
	return all
}

// objects returns the objects of a manifest, lists taken apart.
func objects(data []byte) (all []*yaml.Node) {
	defer func() { _ = recover() }() // of a bug of the library; the manifest has been converted
	d := yaml.NewDecoder(strings.NewReader(string(data)))
	for {
		var document yaml.Node
		if err := d.Decode(&document); err == io.EOF || err != nil {
			return all
		}
		if len(document.Content) == 0 {
			continue
		}
		if items := lookup(document.Content[0], "items"); items != nil && items.Kind == yaml.SequenceNode {
			all = append(all, items.Content...)
		} else {
			all = append(all, document.Content[0])
		}
	}
}

// lookup returns what is at some keys; nil: nothing.
func lookup(y *yaml.Node, keys ...string) *yaml.Node {
	for _, key := range keys {
		var inner *yaml.Node
		for i := 0; y != nil && y.Kind == yaml.MappingNode && i+1 < len(y.Content); i += 2 {
			if y.Content[i].Value == key {
				inner = y.Content[i+1]
			}
		}
		y = inner
	}
	return y
}

func text(y *yaml.Node, keys ...string) string {
	if v := lookup(y, keys...); v != nil {
		return v.Value
	}
	return ""
}

// toRules makes findings in what manifests were converted to findings in the manifests. It
// leaves out those that are about no rule.
func (c *checker) toRules(k *Kong) {
	var kept []Finding
	said := map[string]bool{} // of the KongPlugin that a row has its config from
	for _, f := range c.findings {
		if f.File != k.Name {
			kept = append(kept, f)
			said[f.Message] = said[f.Message] || f.ID == refusedByPlugin.ID
		}
	}
	for _, f := range c.findings {
		if f.File != k.Name {
			continue
		}
		row, inside := k.rowAt(f.Path)
		if from, ok := k.rule(row); ok && f.ID != refusedByKong.ID && !said[f.Message] {
			f.Message = strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(inside, "config"), ".")+": ", ": ") + f.Message
			f.File, f.Path, f.Line, f.Column = from.file, from.path, from.line, from.column
			kept = append(kept, f)
		}
	}
	c.findings = kept
}

// rowPath matches the beginning of a path: a row of a list.
var rowPath = regexp.MustCompile(`^([a-z]+)\[([0-9]+)\]\.?`)

// rowAt returns the name of the innermost row at a path that has one, and the rest of the
// path.
func (k *Kong) rowAt(path string) (name, inside string) {
	var place []any
	for {
		m := rowPath.FindStringSubmatch(path)
		if m == nil {
			return name, path
		}
		i, _ := strconv.Atoi(m[2]) // digits
		place = append(place, m[1], i)
		if row, ok := k.File.At(place...).(map[string]any); ok && m[1] != "plugins" {
			name, _ = row["name"].(string)
		}
		path = path[len(m[0]):]
	}
}

// rule returns the rule that a Service or a route comes from, whose name begins with it.
func (k *Kong) rule(name string) (origin, bool) {
	for name != "" {
		if from, ok := k.origins[name]; ok {
			return from, true
		}
		at := strings.LastIndexByte(name, '.')
		if at < 0 {
			break
		}
		name = name[:at]
	}
	return origin{}, false
}
