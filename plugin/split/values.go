package split

import "strings"

// What clients send is looked at without being copied, and nothing of it is an
// error.

// lookup returns the first value of a header. One that is empty is as if it were not
// there: Kong does not tell the two apart.
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

// nextCookie returns the first value of a cookie, and what of the header comes
// behind it.
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

// queryArg returns the first value of an argument of a query, decoded; empty where
// the argument has none (?flag).
func queryArg(query, name string) (string, bool) {
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		n, v, _ := strings.Cut(pair, "=")
		if pair != "" && stands(n, name) {
			return unescape(v), true
		}
	}
	return "", false
}

// stands tells whether an escaped text stands for another.
func stands(escaped, text string) bool {
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

// decode returns the first byte that an escaped text stands for, and the text behind
// it: of %XX and +. A % that is no such thing stands for itself.
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
