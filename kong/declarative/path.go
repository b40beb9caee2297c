package declarative

import "strings"

// NormalizePath normalises a path as Kong does before it routes (RFC 3986,
// §6.2.2): escaped bytes that need no escape are decoded, the digits of the
// others are upper case, "." and ".." are resolved, and slashes merged.
func NormalizePath(path string) string {
	if path == "" || path == "/" {
		return path
	}
	path = decodeUnreserved(path)
	if !strings.Contains(path, ".") && !strings.Contains(path, "//") {
		return path
	}
	var segments []string
	drop := func() {
		if len(segments) > 0 {
			segments = segments[:len(segments)-1]
		}
	}
	for rest := path; rest != ""; {
		switch {
		case rest == "/.":
			rest = "/"
		case rest == "/..":
			rest = "/"
			drop()
		case rest == "." || rest == "..":
			rest = ""
		case strings.HasPrefix(rest, "../"):
			rest = rest[3:]
		case strings.HasPrefix(rest, "./"):
			rest = rest[2:]
		case strings.HasPrefix(rest, "/./"):
			rest = rest[2:]
		case strings.HasPrefix(rest, "/../"):
			rest = rest[3:]
			drop()
		case strings.HasPrefix(rest, "//"):
			rest = rest[1:]
		default:
			end := strings.IndexByte(rest[1:], '/') + 1
			if end == 0 {
				end = len(rest)
			}
			segments = append(segments, rest[:end])
			rest = rest[end:]
		}
	}
	return strings.Join(segments, "")
}

const reserved = "!*'();:@&=+$,/?%#[]"

// decodeUnreserved decodes what is escaped without need.
func decodeUnreserved(path string) string {
	if !strings.Contains(path, "%") {
		return path
	}
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] != '%' || i+2 >= len(path) || !luaClass(path[i+1], 'x') || !luaClass(path[i+2], 'x') {
			b.WriteByte(path[i])
			continue
		}
		c := unhex(path[i+1])<<4 | unhex(path[i+2])
		if strings.IndexByte(reserved, c) >= 0 {
			b.WriteString(strings.ToUpper(path[i : i+3]))
		} else {
			b.WriteByte(c)
		}
		i += 2
	}
	return b.String()
}

func unhex(c byte) byte {
	switch {
	case isDigit(c):
		return c - '0'
	default:
		return c | 0x20 - 'a' + 10
	}
}

// RouteRegexp is the regular expression by which a route's path that begins
// with ~ is matched, given what follows the ~. It is anchored at the start.
func RouteRegexp(expression string) string {
	return "^" + strings.ReplaceAll(expression, "?<", "?P<")
}
