package split

import (
	"slices"
	"strings"
)

// holds reports whether the rule matches a request.
func (r *Rule) holds(f *Facts) bool { return r.Match.allHold(f) && !r.Not.anyHolds(f) }

// allHold reports whether all parts of a match hold.
func (m *Match) allHold(f *Facts) bool {
	return (len(m.Methods) == 0 || slices.Contains(m.Methods, f.Method)) &&
		strings.HasPrefix(f.Path, m.PathPrefix) &&
		(len(m.Consumers) == 0 || m.consumer(&f.Consumer)) &&
		(len(m.ClientIPs) == 0 || m.clientIP(f)) &&
		allHold(inHeaders, m.Headers, f) &&
		allHold(inCookies, m.Cookies, f) &&
		allHold(inQuery, m.QueryArgs, f)
}

// anyHolds reports whether some part of a match holds.
func (m *Match) anyHolds(f *Facts) bool {
	return slices.Contains(m.Methods, f.Method) ||
		m.PathPrefix != "" && strings.HasPrefix(f.Path, m.PathPrefix) ||
		m.consumer(&f.Consumer) ||
		m.clientIP(f) ||
		anyHolds(inHeaders, m.Headers, f) ||
		anyHolds(inCookies, m.Cookies, f) ||
		anyHolds(inQuery, m.QueryArgs, f)
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

// source is where to look for a value. (Not a function: the facts would escape to the
// heap.)
type source int

const (
	inHeaders source = iota
	inCookies
	inQuery
)

func (s source) value(f *Facts, name string) (string, bool) {
	switch s {
	case inHeaders:
		return lookup(f.Headers, name)
	case inCookies:
		return cookie(f.Cookies, name)
	default:
		return queryArg(f.Query, name)
	}
}

func allHold(from source, patterns []Pattern, f *Facts) bool {
	for i := range patterns {
		v, ok := from.value(f, patterns[i].Name)
		if !ok || !patterns[i].holds(v) {
			return false
		}
	}
	return true
}

// anyHolds reports whether some pattern holds. One whose expressions are not tried on a
// value, as that is too long, does: else a client could get around it.
func anyHolds(from source, patterns []Pattern, f *Facts) bool {
	for i := range patterns {
		p := &patterns[i]
		if v, ok := from.value(f, p.Name); ok && (p.holds(v) || len(p.Regexps) > 0 && len(v) > longestMatched) {
			return true
		}
	}
	return false
}

// longestMatched is the length, in bytes, of the longest value on which regular
// expressions are tried, as their cost grows with it. By default nginx does not accept a
// longer header (large_client_header_buffers).
const longestMatched = 8 << 10

// holds reports whether a value is in Exact or matches one of Regexps.
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

// What clients send is read without a copy, and whatever they send is no error.

// lookup returns the value of a header, and whether there is one. An empty one counts as
// absent, as Kong does not distinguish the two.
func lookup(headers []Header, name string) (string, bool) {
	for i := range headers {
		if strings.EqualFold(headers[i].Name, name) {
			return headers[i].Value, headers[i].Value != ""
		}
	}
	return "", false
}

// capture returns a named capture of the route's path.
func capture(captures []Header, name string) (string, bool) {
	for i := range captures {
		if captures[i].Name == name {
			return captures[i].Value, true
		}
	}
	return "", false
}

// cookie returns the first value of a cookie, without quotes around it.
func cookie(header, name string) (string, bool) {
	value, _, ok := nextCookie(header, name)
	return value, ok
}

// nextCookie returns the first value of a cookie, and the rest of the header after it.
func nextCookie(header, name string) (value, rest string, ok bool) {
	for header != "" {
		var pair string
		pair, header, _ = strings.Cut(header, ";")
		n, v, hasValue := strings.Cut(strings.Trim(pair, " \t"), "=")
		if !hasValue || strings.TrimRight(n, " \t") != name {
			continue
		}
		v = strings.TrimLeft(v, " \t")
		if len(v) >= 2 && v[0] == '"' && v[len(v)-1] == '"' {
			v = v[1 : len(v)-1]
		}
		return v, header, true
	}
	return "", "", false
}

// queryArg returns the first value of an argument of a query, decoded; empty if the
// argument has no value (?flag).
func queryArg(query, name string) (string, bool) {
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		n, v, _ := strings.Cut(pair, "=")
		if pair != "" && unescapesTo(n, name) {
			return unescape(v), true
		}
	}
	return "", false
}

// unescapesTo reports whether an escaped text stands for another.
func unescapesTo(escaped, text string) bool {
	for escaped != "" && text != "" {
		var c byte
		if c, escaped = decode(escaped); c != text[0] {
			return false
		}
		text = text[1:]
	}
	return escaped == text
}

// unescape returns what an escaped text stands for.
func unescape(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for s != "" {
		var c byte
		c, s = decode(s)
		b.WriteByte(c)
	}
	return b.String()
}

// decode decodes the first byte of an escaped text, which may be +, %XX or a byte that
// stands for itself, and returns the rest of the text.
func decode(s string) (c byte, rest string) {
	switch {
	case s[0] == '+':
		return ' ', s[1:]
	case s[0] == '%' && len(s) > 2 && isHex(s[1]) && isHex(s[2]):
		return nibble(s[1])<<4 | nibble(s[2]), s[3:]
	}
	return s[0], s[1:]
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}

func nibble(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
