package declarative

import (
	"encoding/hex"
	"strings"
)

// NormalizePath normalises a path as Kong does before it routes (RFC 3986,
// §6.2.2): escaped bytes that need no escape are decoded, the digits of the
// others are upper case, "." and ".." are resolved, and slashes merged.
func NormalizePath(path string) string {
	rest, rooted := strings.CutPrefix(Unescape(path, reserved), "/")
	segments := strings.Split(rest, "/")
	var kept []string
	for i, segment := range segments {
		if segment == ".." {
			kept = kept[:max(len(kept)-1, 0)]
		}
		switch segment {
		case "", ".", "..":
			if i == len(segments)-1 {
				kept = append(kept, "") // the path ends in a slash
			}
		default:
			kept = append(kept, segment)
		}
	}
	if rooted {
		return "/" + strings.Join(kept, "/")
	}
	return strings.Join(kept, "/")
}

// reserved are the bytes that stay escaped (RFC 3986, section 2.2, and the % itself).
const reserved = "!*'();:@&=+$,/?%#[]"

// Unescape decodes %XX, but for the bytes in keep, whose digits become upper case. What is
// no escape stays as it is.
func Unescape(text, keep string) string {
	var b strings.Builder
	for {
		before, after, escaped := strings.Cut(text, "%")
		b.WriteString(before)
		if !escaped {
			return b.String()
		}
		char, err := hex.DecodeString(after[:min(2, len(after))])
		switch {
		case err != nil || len(char) == 0: // no escape
			b.WriteByte('%')
			text = after
			continue
		case strings.IndexByte(keep, char[0]) >= 0:
			b.WriteString("%" + strings.ToUpper(after[:2]))
		default:
			b.WriteByte(char[0])
		}
		text = after[2:]
	}
}

// RouteRegexp is the regular expression by which a route's path that begins
// with ~ is matched, given what follows the ~. It is anchored at the start.
func RouteRegexp(expression string) string {
	return "^" + strings.ReplaceAll(expression, "?<", "?P<")
}
