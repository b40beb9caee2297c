package standin

import (
	"strings"

	"kong-traffic-split/kong/declarative"
)

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
