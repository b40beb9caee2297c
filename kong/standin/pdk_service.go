package standin

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
)

// setUpstream answers true where there is an Upstream of that name.
func setUpstream(x *exchange, name string) (any, error) {
	if _, ok := x.view.balancers[name]; !ok {
		return nil, nil
	}
	x.balancer.host = name
	return true, nil
}

func setTarget(x *exchange, t targetArgs) (any, error) {
	if t.port < 0 || t.port > 65535 {
		return nil, raise("port must be an integer between 0 and 65535: given %d", t.port)
	}
	x.upstreamHost = t.host
	x.balancer.host, x.balancer.port = t.host, t.port
	return nil, nil
}

func setScheme(x *exchange, scheme string) (any, error) {
	if scheme != "http" && scheme != "https" {
		return nil, raise("invalid scheme: %s", scheme)
	}
	x.upstreamScheme = scheme
	return nil, nil
}

func setPath(x *exchange, path string) (any, error) {
	if !strings.HasPrefix(path, "/") {
		return nil, raise("path must start with /")
	}
	x.upstreamURI = escapePath(path)
	return nil, nil
}

// dropArg deletes all arguments of a name from the query.
func (x *exchange) dropArg(name string) {
	var kept []string
	for pair := range strings.SplitSeq(x.args, "&") {
		if key, _, _ := strings.Cut(pair, "="); unescapeArg(key) != name {
			kept = append(kept, pair)
		}
	}
	x.args = strings.Join(kept, "&")
}

func setRequestHeader(x *exchange, h keyValue) (any, error) {
	if err := checkHeader(h.key, h.value); err != nil {
		return nil, err
	}
	x.setHostHeader(h.key, h.value)
	if h.key != ":authority" { // the Host header sets it
		x.putHeader(h.key, headerValues(h.value))
	}
	return nil, nil
}

// setHostHeader sends a Host header that a plugin sets to the Service: of a list, the
// address of its Lua table.
func (x *exchange) setHostHeader(name string, value any) {
	if strings.EqualFold(name, "host") || name == ":authority" && x.isGRPCService() {
		x.upstreamHost = luaString(value)
	}
}

func (x *exchange) putHeader(name string, values []string) {
	switch {
	case strings.EqualFold(name, "host"):
		x.host = strings.Join(values, ", ")
	case len(values) == 0:
		x.header.Del(name)
	default:
		x.header[http.CanonicalHeaderKey(name)] = values
	}
}

// addRequestHeader adds one value. A list becomes the address of its table.
func addRequestHeader(x *exchange, h keyValue) (any, error) {
	if err := checkHeader(h.key, h.value); err != nil {
		return nil, err
	}
	x.setHostHeader(h.key, h.value)
	x.putHeader(h.key, append(slices.Clone(x.header.Values(h.key)), cmp.Or(luaString(h.value), " ")))
	return nil, nil
}

func setRequestHeaders(x *exchange, headers map[string]any) (any, error) {
	for name, value := range headers {
		if err := checkHeader(name, value); err != nil {
			return nil, err
		}
	}
	for name, value := range headers {
		x.setHostHeader(name, value)
		x.putHeader(name, headerValues(value))
	}
	return nil, nil
}

// checkHeader raises an error where a value cannot be one of a header.
func checkHeader(name string, value any) error {
	switch v := value.(type) {
	case string, float64, bool:
		return nil
	case []any:
		for _, element := range v {
			if _, ok := element.(string); !ok {
				return raise("invalid header value in array %q: got %s, expected string", name, luaType(element))
			}
		}
		return nil
	case map[string]any:
		return nil // a table without a list in it has no values
	}
	return raise("invalid header value for %q: got %s, expected array of string, string, number or boolean",
		name, luaType(value))
}

// headerValues are the values that a header gets. An empty one is a blank.
func headerValues(value any) []string {
	var all []string
	switch v := value.(type) {
	case []any:
		for _, element := range v {
			all = append(all, cmp.Or(element.(string), " ")) // checked
		}
	case map[string]any:
	default:
		all = []string{cmp.Or(luaString(value), " ")}
	}
	return all
}
