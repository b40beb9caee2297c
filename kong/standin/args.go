package standin

import (
	"maps"
	"slices"
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

// encodeArgs writes a query as kong.service.request.set_query does: sorted.
func encodeArgs(args map[string]any) (string, error) {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(args)) {
		part, err := encodeArg(key, args[key])
		if err != nil {
			return "", err
		}
		parts = append(parts, part)
	}
	slices.Sort(parts)
	return strings.Join(parts, "&"), nil
}

func encodeArg(key string, value any) (string, error) {
	switch v := value.(type) {
	case bool:
		return escapeArg(key), nil // false never gets here
	case []any:
		var parts []string
		for _, element := range v {
			if luaType(element) == "table" {
				return "", raise("attempt to use table as query arg value")
			}
			part, err := encodeArg(key, element)
			if err != nil {
				return "", err
			}
			parts = append(parts, part)
		}
		return strings.Join(parts, "&"), nil
	case map[string]any:
		return "", raise("attempt to use table as query arg value")
	}
	return escapeArg(key) + "=" + escapeArg(luaString(value)), nil
}

// escapeArg escapes all but what RFC 3986 calls unreserved.
func escapeArg(text string) string {
	var b strings.Builder
	const digits = "0123456789ABCDEF"
	for i := range len(text) {
		c := text[i]
		isAlphanumeric := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if isAlphanumeric || strings.IndexByte("-_.~", c) >= 0 {
			b.WriteByte(c)
		} else {
			b.WriteString(string([]byte{'%', digits[c>>4], digits[c&15]}))
		}
	}
	return b.String()
}
