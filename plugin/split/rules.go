package split

import (
	"slices"
	"strings"
)

// holds tells whether all of a match does.
func (m *Match) holds(f *Facts) bool {
	return (len(m.Methods) == 0 || slices.Contains(m.Methods, f.Method)) &&
		strings.HasPrefix(f.Path, m.PathPrefix) &&
		(len(m.Consumers) == 0 || m.consumer(&f.Consumer)) &&
		(len(m.ClientIPs) == 0 || m.clientIP(f)) &&
		allHold(inHeaders, m.Headers, f) &&
		allHold(inCookies, m.Cookies, f) &&
		allHold(inQuery, m.QueryArgs, f)
}

func (m *Match) consumer(c *Consumer) bool {
	return slices.ContainsFunc(m.Consumers, func(name string) bool {
		return name != "" && (name == c.Username || name == c.CustomID || name == c.ID)
	})
}

func (m *Match) clientIP(f *Facts) bool {
	ip := f.IP.Unmap()
	for i := range m.ClientIPs {
		if m.ClientIPs[i].Contains(ip) {
			return true
		}
	}
	return false
}

// place is where a value is looked for. (Not a function: the facts would escape to
// the heap.)
type place int

const (
	inHeaders place = iota
	inCookies
	inQuery
)

func (p place) value(f *Facts, name string) (string, bool) {
	switch p {
	case inHeaders:
		return lookup(f.Headers, name)
	case inCookies:
		return cookie(f.Cookies, name)
	default:
		return queryArg(f.Query, name)
	}
}

func allHold(in place, patterns []Pattern, f *Facts) bool {
	for i := range patterns {
		v, ok := in.value(f, patterns[i].Name)
		if !ok || !patterns[i].holds(v) {
			return false
		}
	}
	return true
}

// longestMatched is how long a value may be, in bytes, for regular expressions to be
// tried on it: what they cost grows with it, and nginx takes no longer header, unless
// its large_client_header_buffers are larger ones.
const longestMatched = 8 << 10

// holds tells whether a value is one of those that the pattern lists.
func (p *Pattern) holds(value string) bool {
	if slices.Contains(p.Exact, value) {
		return true
	}
	if len(value) > longestMatched {
		return false
	}
	for _, r := range p.Regexps {
		if r.MatchString(value) {
			return true
		}
	}
	return false
}
