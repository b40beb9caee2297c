package declarative

import (
	"cmp"
	"crypto/rand"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// filler fills in what a row leaves out, as Kong does when it inserts one.
type filler struct {
	now time.Time
}

// fill returns a copy of the row in which every field is present: with its
// default, or null. What is wrong with the row is found later, by check.
func (fl filler) fill(r *record, row map[string]any) map[string]any {
	out := cloneMap(row)
	if r.shorthands != nil {
		r.shorthands(out)
	}
	variant := r.variantOf(out)
	for _, name := range r.names {
		f := r.field(variant, name)
		value, present := out[name]
		if f.auto && (!present || value == nil && name == "created_at" || name == "updated_at") {
			value, present = fl.automatic(f), true
		}
		if !present {
			value, present = fl.missing(f)
		}
		if present {
			out[name] = fl.value(f, value)
		}
	}
	return out
}

// missing is what stands for a field that is not given.
func (fl filler) missing(f *field) (any, bool) {
	switch {
	case f.hasDefault:
		return clone(f.fallback), true
	case !f.required:
		return nil, true
	case f.kind == "record" && !f.abstract:
		return map[string]any{}, true
	}
	return nil, false
}

// automatic is the value of a field that Kong makes up.
func (fl filler) automatic(f *field) any {
	switch {
	case f.kind == "integer":
		return float64(fl.now.Unix())
	case f.kind == "number":
		return float64(fl.now.UnixMilli()) / 1000
	case f.raw["uuid"] == true:
		return NewUUID()
	}
	return rand.Text()
}

// value fills in what is inside of a value. An empty table is what its field is to be, as
// Lua has one kind only. Of a value that has another type than its field, check says so.
func (fl filler) value(f *field, value any) any {
	list, _ := value.([]any)
	row, isMap := value.(map[string]any)
	switch {
	case f.kind == "record" && !f.abstract && isTable(value) && len(list) == 0:
		return fl.fill(f.record, row)
	case f.kind == "map" && (isMap || list != nil && len(list) == 0):
		out := make(map[string]any, len(row))
		for key, element := range row {
			out[key] = fl.value(f.values, element)
		}
		return out
	case (f.kind == "array" || f.kind == "set") && (list != nil || isMap && len(row) == 0):
		out := make([]any, 0, len(list))
		for _, element := range list {
			filled := fl.value(f.elements, element)
			if f.kind == "array" || !hasElement(out, filled) { // a set loses what is in it twice
				out = append(out, filled)
			}
		}
		return out
	}
	return value
}

// urlPattern is RFC 3986, appendix B, with user, host and port apart.
var urlPattern = regexp.MustCompile(`^(?:([a-zA-Z0-9][\w+.-]*):)?(?://(?:[^/?#@]*@)?(\[[^\]/?#]*\]|[^/?#:]*)(?::([^/?#:]*))?)?([^?#;]*)`)

// serviceURL reads a service's url into protocol, host, port and path.
func serviceURL(row map[string]any) {
	text, ok := row["url"].(string)
	if !ok {
		return
	}
	delete(row, "url")
	parts := urlPattern.FindStringSubmatch(text)
	host, port, path := strings.Trim(parts[2], "[]"), parts[3], parts[4]
	protocol := cmp.Or(parts[1], map[string]string{"443": "https"}[port], "http")
	row["protocol"], row["host"], row["path"] = protocol, nil, nil
	if host != "" {
		row["host"] = host
	}
	if path != "" {
		row["path"] = path
	}
	n, err := strconv.Atoi(port)
	switch {
	case err == nil:
		row["port"] = float64(n)
	case port != "":
		row["port"] = port // an error that check finds
	case protocol == "https":
		row["port"] = 443.0
	default:
		row["port"] = 80.0
	}
}

// withoutURL refuses a url that serviceURL could not read.
func withoutURL(row map[string]any) (*record, Errors) {
	if row["url"] != nil {
		return nil, Errors{"url": "expected a string"}
	}
	return nil, nil
}

// upstreamAlgorithm lets an upstream's algorithm follow its hash_on, as it was
// before there was an algorithm.
func upstreamAlgorithm(row map[string]any) {
	if a := row["algorithm"]; a == "least-connections" || a == "latency" {
		row["hash_on"] = nil
	}
	_, isText := row["algorithm"].(string)
	hashOn, given := row["hash_on"]
	switch {
	case !given:
	case row["algorithm"] != nil && !isText: // an error that check finds
	case hashOn == nil:
		row["hash_on"] = "none"
	case hashOn == "none":
		row["algorithm"] = "round-robin"
	default:
		row["algorithm"] = "consistent-hashing"
	}
}
