package declarative

import (
	"encoding/hex"
	"strings"
)

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

// reserved are the bytes that stay escaped (RFC 3986, section 2.2, and the % itself).
const reserved = "!*'();:@&=+$,/?%#[]"

// decodeUnreserved decodes what is escaped without need.
func decodeUnreserved(path string) string {
	var b strings.Builder
	for {
		before, after, escaped := strings.Cut(path, "%")
		b.WriteString(before)
		if !escaped {
			return b.String()
		}
		char, err := hex.DecodeString(after[:min(2, len(after))])
		switch {
		case err != nil || len(char) == 0: // no escape
			b.WriteByte('%')
			path = after
			continue
		case strings.IndexByte(reserved, char[0]) >= 0:
			b.WriteString("%" + strings.ToUpper(after[:2]))
		default:
			b.WriteByte(char[0])
		}
		path = after[2:]
	}
}

// RouteRegexp is the regular expression by which a route's path that begins
// with ~ is matched, given what follows the ~. It is anchored at the start.
func RouteRegexp(expression string) string {
	return "^" + strings.ReplaceAll(expression, "?<", "?P<")
}
