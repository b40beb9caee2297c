package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// request28 is a request in Kong 2.8: what its PDK tells of it, and what it is
// told, in words.
type request28 struct {
	headers    map[string]string // names in lower case
	cookie     string
	path       string // as the client sent it
	query      string
	ip         string
	consumer   map[string]any
	credential map[string]any
	preserves  string // the Host, where the route preserves it
	uri        string // that Kong computed
	service    map[string]any
	upstreams  []string

	asked, told, logged []string
	backend             string // the destination
	exited              string // status and body of an answer of the plugin's own
}

// plain is a request to a plain route of a plain Service.
func plain() *request28 {
	return &request28{
		headers: map[string]string{"host": "shop.example"}, path: "/cart", uri: "/base/cart", ip: "10.0.0.1",
		service: map[string]any{"protocol": "http", "host": "web.internal", "port": 80, "id": "s1"},
	}
}

// answer is what a method of the PDK returns in Kong 2.8.3. One that it does not
// have, or that would raise an error, fails the test: Kong would drop the event.
func (r *request28) answer(t *testing.T, method string, args []any) (result any, problem string) {
	t.Helper()
	method = strings.TrimPrefix(method, "kong.")
	text := func(i int) string {
		s, ok := args[i].(string)
		if !ok {
			t.Fatalf("%s: argument %d is %#v, not a string", method, i, args[i])
		}
		return s
	}
	value := func(s string) (any, string) {
		r.asked = append(r.asked, method)
		if s == "" {
			return nil, ""
		}
		return s, ""
	}
	told := func() { r.told = append(r.told, strings.TrimSuffix(method+" "+words(args), " ")) }
	switch method {
	case "request.get_method":
		return value("GET")
	case "request.get_path":
		return value(r.path)
	case "request.get_raw_query":
		r.asked = append(r.asked, method)
		return r.query, "" // an empty one where there is none
	case "request.get_forwarded_scheme":
		return value("https")
	case "request.get_header":
		return value(r.headers[strings.ToLower(text(0))])
	case "client.get_forwarded_ip":
		return value(r.ip)
	case "client.get_consumer":
		if r.consumer == nil {
			return value("")
		}
		return r.consumer, ""
	case "client.get_credential":
		if r.credential == nil {
			return value("")
		}
		r.asked = append(r.asked, method)
		return r.credential, ""
	case "nginx.get_var":
		vars := map[string]string{"http_cookie": r.cookie, "upstream_host": r.preserves, "upstream_uri": r.uri}
		s, ok := vars[text(0)]
		if !ok {
			t.Fatalf("nginx.get_var %s is not foreseen", text(0))
		}
		return value(s)
	case "nginx.get_ctx":
		if text(0) != "service" {
			t.Fatalf("nginx.get_ctx %s is not foreseen", text(0))
		}
		r.asked = append(r.asked, method)
		return r.service, ""
	case "service.set_upstream":
		if !slices.Contains(r.upstreams, text(0)) {
			return nil, "could not find an Upstream named '" + text(0) + "'"
		}
		told()
		r.backend = text(0)
		return true, ""
	case "service.set_target":
		told()
		r.backend = fmt.Sprint(text(0), ":", number(args[1]))
	case "log.err":
		r.logged = append(r.logged, text(0))
	case "log.set_serialize_value":
		if v, ok := args[1].(map[string]any); ok {
			args[1] = fmt.Sprint(v["backend"], "/", v["reason"])
		}
		told()
	case "response.exit":
		r.exited = fmt.Sprint(number(args[0]), " ", text(1), " ", args[2])
	case "service.request.set_scheme", "service.request.set_path", "service.request.set_header",
		"service.request.add_header", "service.request.clear_header",
		"response.set_header", "response.add_header":
		told()
	default:
		t.Fatalf("Kong 2.8 has no %s, or it is not foreseen", method)
	}
	return nil, ""
}

func words(args []any) string {
	var all []string
	for _, a := range args {
		if m, ok := a.(map[string]any); ok { // of set_serialize_value
			for _, k := range slices.Sorted(maps.Keys(m)) {
				all = append(all, fmt.Sprint(k, "=", m[k]))
			}
			continue
		}
		all = append(all, fmt.Sprint(a))
	}
	return strings.Join(all, " ")
}

// header is what the response headers that were added say under a name.
func (r *request28) header(name string) string {
	for _, line := range r.told {
		if value, ok := strings.CutPrefix(line, "response.add_header "+name+" "); ok {
			return value
		}
	}
	return ""
}
