package standin

import (
	"fmt"
	"strings"

	"kong-traffic-split/kong/declarative"
)

// upstreamPath is the path that the Service gets, given the normalised path of
// the request and the part of it that the route's path matched, which is cut
// off unless stripped is empty (Kong's path_handling v0).
func upstreamPath(servicePath, path, stripped string, strip bool) string {
	if servicePath == "" {
		servicePath = "/"
	}
	if stripped == "" {
		stripped = "/"
	}
	rest := sanitizeRest(path[min(len(stripped), len(path)):])
	slash := strings.HasSuffix(servicePath, "/")
	base := strings.TrimSuffix(servicePath, "/")
	switch {
	case !strip && slash:
		return servicePath + strings.TrimPrefix(path, "/")
	case !strip && path == "/":
		return servicePath
	case !strip:
		return servicePath + path
	case rest != "":
		return base + "/" + strings.TrimPrefix(rest, "/")
	case slash && (servicePath == "/" || strings.HasSuffix(path, "/")):
		return servicePath
	case slash:
		return base
	case len(path) > 1 && strings.HasSuffix(path, "/"):
		return servicePath + "/"
	}
	return servicePath
}

// sanitizeRest removes a leading . or .. from what follows the matched path.
func sanitizeRest(rest string) string {
	if first, after, _ := strings.Cut(rest, "/"); first == "." || first == ".." {
		return after
	}
	return rest
}

// unescaped are the bytes of a path that Kong sends as they are.
const unescaped = "!#$&'()*+,/:;=?@[]-_.~%"

// escapePath escapes the others.
func escapePath(path string) string {
	var b strings.Builder
	for i := range len(path) {
		c := path[i]
		isAlphanumeric := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if isAlphanumeric || strings.IndexByte(unescaped, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// isValidPath reports whether nginx accepts the path of a request: one with a NUL in
// it, or that leads out of the root, it does not.
func isValidPath(raw string) bool {
	path := declarative.Unescape(raw, "")
	if strings.IndexByte(path, 0) >= 0 {
		return false
	}
	depth := 0
	for segment := range strings.SplitSeq(path, "/") {
		switch segment {
		case "", ".":
		case "..":
			if depth--; depth < 0 {
				return false
			}
		default:
			depth++
		}
	}
	return true
}

// maxArgs is how many arguments of a query, or headers, Kong reads by default.
const maxArgs = 100

// parseArgs reads a query as ngx.req.get_uri_args does: an argument without a
// value is true, one that comes several times is a list.
func parseArgs(query string, most int) map[string]any {
	args := map[string]any{}
	count := 0
	for part := range strings.SplitSeq(query, "&") {
		if part == "" || count == most {
			continue
		}
		count++
		key, text, hasValue := strings.Cut(part, "=")
		var value any = true
		if hasValue {
			value = unescapeArg(text)
		}
		if key = unescapeArg(key); key != "" {
			addValue(args, key, value)
		}
	}
	return args
}

// addValue makes a list of what comes several times.
func addValue(table map[string]any, key string, value any) {
	switch former := table[key].(type) {
	case nil:
		table[key] = value
	case []any:
		table[key] = append(former, value)
	default:
		table[key] = []any{former, value}
	}
}

// unescapeArg decodes an argument, in which + is a blank.
func unescapeArg(text string) string {
	return declarative.Unescape(strings.ReplaceAll(text, "+", " "), "")
}
