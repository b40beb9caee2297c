package standin

import (
	"strings"
)

// maxArgs is how many arguments of a query Kong reads where it is not told.
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
func addValue(to map[string]any, key string, value any) {
	switch former := to[key].(type) {
	case nil:
		to[key] = value
	case []any:
		to[key] = append(former, value)
	default:
		to[key] = []any{former, value}
	}
}

// unescapeArg leaves what is no escape as it is.
func unescapeArg(text string) string {
	if !strings.ContainsAny(text, "%+") {
		return text
	}
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '+':
			out = append(out, ' ')
		case text[i] == '%' && i+2 < len(text) && isHex(text[i+1]) && isHex(text[i+2]):
			out = append(out, unhex(text[i+1])<<4|unhex(text[i+2]))
			i += 2
		default:
			out = append(out, text[i])
		}
	}
	return string(out)
}

func isHex(c byte) bool { return strings.IndexByte("0123456789abcdefABCDEF", c) >= 0 }

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
