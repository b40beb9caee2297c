package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"kong-traffic-split/plugin/split"
)

// Compile returns the split of a configuration, which has to have backends. The split's
// sessions are bound to identity, which has to be the same for all its revisions on all
// nodes, and different for other splits.
func (c *Config) Compile(identity string) *split.Split {
	s := &split.Split{
		Algorithm:     split.Algorithm(c.Algorithm),
		OnUnavailable: split.OnUnavailable(c.OnUnavailable),
		Revision:      c.revision(),
		Identity:      identity,
		ForceHeader:   c.ForceHeader,
		HashOn:        c.hashKeys(),
	}
	for i := range c.Backends {
		s.Backends = append(s.Backends, c.Backends[i].compile())
	}
	if s.OnUnavailable == split.ToFallback {
		s.Fallback = c.index(c.Fallback)
	}
	for i := range c.Rules {
		s.Rules = append(s.Rules, c.Rules[i].compile(c))
	}
	if c.Session != nil {
		s.Session = c.Session.compile(identity)
	}
	if c.Ramp != nil {
		s.Ramp = c.Ramp.compile(c)
	}
	for i := range c.Mirror {
		s.Mirrors = append(s.Mirrors, c.Mirror[i].compile(c))
	}
	if c.MaxEjected != nil {
		s.MaxEjected = new(hundredths(*c.MaxEjected))
	}
	if c.Retry != nil {
		s.Retry = &split.Retry{Max: c.Retry.Max, Backend: c.index(c.Retry.Backend)}
	}
	return s
}

// revision returns a hash of the configuration, which is the same on every node. JSON is
// the canonical form, with the keys of maps sorted. What is not set is left out, so that a
// version that knows more parameters has the same hash where nobody uses these. The secrets
// are left out, as a revision is public and guesses could be tried on it.
func (c *Config) revision() string {
	text, err := json.Marshal(canonical(reflect.ValueOf(c)))
	if err != nil {
		panic(err) // strings, numbers and booleans only
	}
	return fmt.Sprintf("%016x", xxhash.Sum64(text))[:12]
}

// canonical returns a value in which structs are maps of those of their fields that are not
// zero.
func canonical(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Pointer:
		return canonical(v.Elem())
	case reflect.Struct:
		fields := map[string]any{}
		for i := range v.NumField() {
			if !v.Field(i).IsZero() {
				fields[v.Type().Field(i).Name] = canonical(v.Field(i))
			}
		}
		return fields
	case reflect.Slice:
		items := make([]any, v.Len())
		for i := range items {
			items[i] = canonical(v.Index(i))
		}
		return items
	}
	return v.Interface()
}

func (b *Backend) compile() split.Backend {
	out := split.Backend{Name: b.Name, Weight: b.Weight, Destination: b.destination(), SlowStart: Seconds(b.SlowStart)}
	if b.Redirect != nil {
		out.RedirectsTo = b.Redirect.String()
	}
	if b.Health != nil && b.Health.Passive != nil {
		p := b.Health.Passive
		out.Passive = &split.Passive{Failures: p.Failures, Ejection: Seconds(p.Ejection)}
	}
	return out
}

// destination returns where a backend is, as far as its configuration says.
func (b *Backend) destination() string {
	switch {
	case b.Service:
		return "service"
	case b.Upstream != "":
		return "upstream " + b.Upstream
	case b.Redirect != nil:
		return b.Redirect.String()
	}
	return strings.TrimPrefix(b.Protocol+"://"+net.JoinHostPort(b.Host, strconv.Itoa(b.Port)), "://")
}

// hashKeys returns the keys of hash_on and hash_fallback.
func (c *Config) hashKeys() (keys []split.Key) {
	for _, k := range []struct{ on, header, cookie, queryArg, capture string }{
		{c.HashOn, c.HashOnHeader, c.HashOnCookie, c.HashOnQueryArg, c.HashOnURICapture},
		{c.HashFallback, c.HashFallbackHeader, c.HashFallbackCookie, c.HashFallbackQueryArg, c.HashFallbackURICapture},
	} {
		if k.on == "none" {
			continue
		}
		names := map[split.KeyKind]string{
			split.OnHeader: k.header, split.OnCookie: k.cookie, split.OnQueryArg: k.queryArg, split.OnURICapture: k.capture,
		}
		on := split.KeyKind(k.on)
		keys = append(keys, split.Key{On: on, Name: names[on]})
	}
	return keys
}

func (s *Session) compile(identity string) *split.Session {
	out := &split.Session{
		Cookie:      s.Cookie,
		MaxAge:      time.Duration(s.MaxAge) * time.Second,
		Renew:       s.Renew,
		Path:        s.Path,
		Domain:      s.Domain,
		Secure:      split.Secure(s.Secure),
		HTTPOnly:    s.HTTPOnly,
		SameSite:    s.SameSite,
		Partitioned: s.Partitioned,
		Secrets:     [][]byte{[]byte(s.Secret)},
		Generation:  s.Generation,
	}
	if out.Secure == split.SecureAuto && s.needsSecure() {
		out.Secure = split.SecureAlways
	}
	if out.Cookie == "" { // so that two splits on one host do not overwrite each other's cookies
		out.Cookie = fmt.Sprintf("traffic_split_%016x", xxhash.Sum64String(identity))[:len("traffic_split_")+8]
	}
	if s.PreviousSecret != "" {
		out.Secrets = append(out.Secrets, []byte(s.PreviousSecret))
	}
	return out
}

// needsSecure reports whether browsers reject the cookie unless it is for https alone. A
// load balancer in front of Kong may terminate TLS, so that Kong sees http.
func (s *Session) needsSecure() bool {
	return s.SameSite == "None" || s.Partitioned || hostPrefix.MatchString(s.Cookie) || securePrefix.MatchString(s.Cookie)
}

func (r *Rule) compile(c *Config) split.Rule {
	out := split.Rule{Match: r.Match.compile(), Backend: c.index(r.Backend)}
	if r.Match.Not != nil {
		out.Not = r.Match.Not.compile()
	}
	if r.Weights != nil {
		out.Backend, out.Weights = 0, make([]int, len(c.Backends))
		for i, b := range c.Backends {
			out.Weights[i] = r.Weights[b.Name]
		}
	}
	return out
}

func (m *Conditions) compile() split.Match {
	out := split.Match{
		Headers:    patterns(m.Headers),
		Cookies:    patterns(m.Cookies),
		QueryArgs:  patterns(m.QueryArgs),
		Methods:    m.Methods,
		PathPrefix: NormalPath(m.PathPrefix),
		Consumers:  m.Consumers,
	}
	for _, text := range m.ClientIPs {
		network, _ := parseNetwork(text) // checked
		out.ClientIPs = append(out.ClientIPs, network)
	}
	return out
}

// patterns returns the patterns in the order of their names.
func patterns(byName map[string][]string) (all []split.Pattern) {
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		p := split.Pattern{Name: name}
		for _, value := range byName[name] {
			if expr, isRegexp := strings.CutPrefix(value, "~"); isRegexp {
				p.Regexps = append(p.Regexps, regexp.MustCompile(expr)) // checked
			} else {
				p.Exact = append(p.Exact, value)
			}
		}
		all = append(all, p)
	}
	return all
}

func (r *Ramp) compile(c *Config) *split.Ramp {
	start, _ := time.Parse(time.RFC3339, r.Start) // checked
	out := &split.Ramp{
		Backend:  c.index(r.Backend),
		From:     hundredths(r.From),
		Start:    start,
		Duration: Seconds(r.Duration),
		Steps:    r.Steps,
	}
	if r.To != nil {
		out.To = hundredths(*r.To)
	}
	for _, step := range r.Plan {
		out.Plan = append(out.Plan, split.PlanStep{Share: hundredths(step.Share), For: Seconds(step.For)})
	}
	if r.Hold != nil {
		out.Hold = new(hundredths(*r.Hold))
	}
	if g := r.Guard; g != nil {
		out.Guard = &split.Guard{
			RollbackTo:     hundredths(g.RollbackTo),
			MaxErrorRatio:  hundredths(100 * g.MaxErrorRatio),
			MaxErrorExcess: hundredths(100 * g.MaxErrorExcess),
			MaxLatency:     Seconds(g.MaxLatency),
			Quantile:       hundredths(100 * g.Quantile),
			MinRequests:    g.MinRequests,
			Window:         Seconds(g.Window),
			Wait:           g.Wait,
		}
	}
	return out
}

// hundredths converts a number of percent, which has at most two decimals, exactly to
// hundredths of a percent.
func hundredths(percent float64) int { return int(math.Round(percent * 100)) }

// Seconds converts a time of a configuration, which has at most three decimals, exactly.
func Seconds(s float64) time.Duration {
	return time.Duration(math.Round(s*1000)) * time.Millisecond
}
