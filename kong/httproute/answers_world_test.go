package httproute_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
	gateway "sigs.k8s.io/gateway-api/apis/v1"
)

// world is what manifests say: routes, and the Services that there are.
type world struct {
	routes   []*gateway.HTTPRoute
	listener string // the hostname of the Gateway's listener; empty: any
	granted  bool   // Services of the namespace other
}

// taste is what a world has of what not all forms can do.
type taste struct {
	letters bool // values of headers with letters, regular expressions of headers, and arguments of the query
	filters bool // that need the plugin
	many    bool // routes that share requests, of which the order is a question
}

// services are those that there are, each with the ports 80 and 81.
var services = []string{"default/a", "default/b", "other/a"}

func anyWorld(t *rapid.T, of taste) *world {
	w := &world{
		listener: rapid.SampledFrom([]string{"", "", "", "*.a.test", "x.a.test"}).Draw(t, "listener"),
		granted:  rapid.Bool().Draw(t, "granted"),
	}
	most := map[bool]int{false: 1, true: 3}[of.many]
	for i := range rapid.IntRange(1, most).Draw(t, "routes") {
		r := &gateway.HTTPRoute{}
		r.Name = string(rune('c' - i)) // by name the last one is the first
		r.Namespace = "default"
		if year := rapid.SampledFrom([]int{0, 2020, 2021}).Draw(t, "created"); year > 0 {
			r.CreationTimestamp = metav1.NewTime(time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC))
		}
		r.Annotations = map[string]string{}
		for _, name := range []string{"strip-path", "preserve-host"} {
			if value := rapid.SampledFrom([]string{"", "", "true", "false"}).Draw(t, name); value != "" {
				r.Annotations["konghq.com/"+name] = value
			}
		}
		r.Spec.ParentRefs = []gateway.ParentReference{{Name: "gw"}}
		r.Spec.Hostnames = rapid.SliceOfNDistinct(rapid.SampledFrom([]gateway.Hostname{"x.a.test", "y.a.test", "*.a.test", "*.test"}), 0, 2, rapid.ID).Draw(t, "hostnames")
		for range rapid.IntRange(1, most).Draw(t, "rules") {
			r.Spec.Rules = append(r.Spec.Rules, anyRule(t, of))
		}
		w.routes = append(w.routes, r)
	}
	return w
}

func seldom[T any](t *rapid.T, label string, value func() T) *T {
	if !rapid.SampledFrom([]bool{false, false, false, true}).Draw(t, label) {
		return nil
	}
	v := value()
	return &v
}

func anyRule(t *rapid.T, of taste) (r gateway.HTTPRouteRule) {
	for range rapid.SampledFrom([]int{0, 1, 1, 1, 2}).Draw(t, "matches") {
		r.Matches = append(r.Matches, anyMatch(t, of))
	}
	onePrefix := len(r.Matches) == 0 || len(r.Matches) == 1 && *r.Matches[0].Path.Type == gateway.PathMatchPathPrefix
	replaced, rewritten := false, false
	if f := seldom(t, "redirect", func() gateway.HTTPRouteFilter { return anyRedirect(t, onePrefix && len(r.Matches) == 1) }); f != nil && of.filters {
		r.Filters = []gateway.HTTPRouteFilter{*f}
		return r
	}
	if of.filters {
		r.Filters = anyFilters(t, "Rule", onePrefix && len(r.Matches) == 1, true)
	}
	for _, f := range r.Filters {
		replaced = replaced || f.URLRewrite != nil && f.URLRewrite.Path != nil
		rewritten = rewritten || f.URLRewrite != nil
	}
	for range rapid.SampledFrom([]int{0, 1, 1, 2, 2, 2, 3}).Draw(t, "backendRefs") {
		ref := gateway.HTTPBackendRef{}
		namespace, name, _ := strings.Cut(rapid.SampledFrom([]string{
			"default/a", "default/a", "default/b", "default/b", "default/b", "other/a", "default/missing",
		}).Draw(t, "service"), "/")
		ref.Name = gateway.ObjectName(name)
		if namespace != "default" {
			ref.Namespace = new(gateway.Namespace(namespace))
		}
		ref.Port = new(rapid.SampledFrom([]gateway.PortNumber{80, 80, 80, 81}).Draw(t, "port"))
		if weight := rapid.SampledFrom([]int32{-1, -1, 0, 1, 2, 3}).Draw(t, "weight"); weight >= 0 {
			ref.Weight = &weight
		}
		if of.filters {
			ref.Filters = anyFilters(t, "Backend", onePrefix && len(r.Matches) == 1 && !replaced, !replaced)
			if f := seldom(t, "redirect", func() gateway.HTTPRouteFilter { return anyRedirect(t, onePrefix && len(r.Matches) == 1) }); f != nil && !rewritten {
				ref.Filters = []gateway.HTTPRouteFilter{*f}
			}
		} else if name == "missing" || namespace == "other" {
			continue
		}
		r.BackendRefs = append(r.BackendRefs, ref)
	}
	if session := seldom(t, "session", func() *gateway.SessionPersistence {
		return &gateway.SessionPersistence{SessionName: new("sid")}
	}); session != nil && of.filters {
		r.SessionPersistence = *session
	}
	if timeout := seldom(t, "timeout", func() gateway.Duration { return "9s" }); timeout != nil {
		r.Timeouts = &gateway.HTTPRouteTimeouts{Request: timeout}
	}
	return r
}

func anyMatch(t *rapid.T, of taste) (m gateway.HTTPRouteMatch) {
	kind := rapid.SampledFrom([]gateway.PathMatchType{gateway.PathMatchPathPrefix, gateway.PathMatchPathPrefix, gateway.PathMatchExact, gateway.PathMatchRegularExpression}).Draw(t, "path type")
	paths := []string{"/", "/", "/a", "/a", "/a/", "/a/b", "/ab", "/a.b", "/A"}
	if kind == gateway.PathMatchRegularExpression {
		paths = []string{"/", "/a", "/a$", "/a/b$", "/[ab]", "/(a|b)/c", `/a.b`, `/a/\w+$`, ".*b", "/a|/b"}
	}
	m.Path = &gateway.HTTPPathMatch{Type: &kind, Value: new(rapid.SampledFrom(paths).Draw(t, "path"))}
	m.Method = seldom(t, "method", func() gateway.HTTPMethod {
		return rapid.SampledFrom([]gateway.HTTPMethod{"GET", "POST"}).Draw(t, "GET or POST")
	})
	for _, name := range []string{"X-P", "x-q"} {
		if h := seldom(t, name, func() gateway.HTTPHeaderMatch {
			h := gateway.HTTPHeaderMatch{Name: gateway.HTTPHeaderName(name), Value: rapid.SampledFrom([]string{"1", "2"}).Draw(t, "value")}
			if !of.letters {
				return h
			}
			if rapid.Bool().Draw(t, "letters") {
				h.Value = "gold"
			}
			if regex := seldom(t, "regex", func() string { return rapid.SampledFrom([]string{"^g", "[12]", "Gold|1"}).Draw(t, "pattern") }); regex != nil {
				h.Type, h.Value = new(gateway.HeaderMatchRegularExpression), *regex
			}
			return h
		}); h != nil {
			m.Headers = append(m.Headers, *h)
		}
	}
	if q := seldom(t, "query", func() gateway.HTTPQueryParamMatch {
		q := gateway.HTTPQueryParamMatch{Name: rapid.SampledFrom([]gateway.HTTPHeaderName{"p", "q"}).Draw(t, "name"), Value: rapid.SampledFrom([]string{"1", "2"}).Draw(t, "value")}
		if regex := seldom(t, "regex", func() string { return "^[23]$" }); regex != nil {
			q.Type, q.Value = new(gateway.QueryParamMatchRegularExpression), *regex
		}
		return q
	}); q != nil && of.letters {
		m.QueryParams = append(m.QueryParams, *q)
	}
	return m
}

// anyFilters are filters of a rule, or of a backendRef; the names of both are told apart in
// the responses, where the spec has no order for them.
func anyFilters(t *rapid.T, owner string, prefix, full bool) (all []gateway.HTTPRouteFilter) {
	names := func(of ...string) *gateway.HTTPHeaderFilter {
		f := &gateway.HTTPHeaderFilter{}
		for i, name := range rapid.Permutation(of).Draw(t, "names")[:rapid.IntRange(1, 3).Draw(t, "changes")] {
			h := gateway.HTTPHeader{Name: gateway.HTTPHeaderName(name), Value: owner + fmt.Sprint(i)}
			switch rapid.IntRange(0, 2).Draw(t, "kind") {
			case 0:
				f.Set = append(f.Set, h)
			case 1:
				f.Add = append(f.Add, h)
			case 2:
				f.Remove = append(f.Remove, name)
			}
		}
		return f
	}
	if f := seldom(t, "request headers", func() *gateway.HTTPHeaderFilter { return names("X-A", "X-B", "x-c", "X-P") }); f != nil {
		all = append(all, gateway.HTTPRouteFilter{Type: gateway.HTTPRouteFilterRequestHeaderModifier, RequestHeaderModifier: *f})
	}
	if f := seldom(t, "response headers", func() *gateway.HTTPHeaderFilter { return names(owner+"-A", owner+"-B", owner+"-C") }); f != nil {
		all = append(all, gateway.HTTPRouteFilter{Type: gateway.HTTPRouteFilterResponseHeaderModifier, ResponseHeaderModifier: *f})
	}
	if f := seldom(t, "rewrite", func() *gateway.HTTPURLRewriteFilter {
		f := &gateway.HTTPURLRewriteFilter{}
		if rapid.Bool().Draw(t, "hostname") {
			f.Hostname = new(gateway.PreciseHostname(strings.ToLower(owner) + ".example"))
		}
		switch path := rapid.SampledFrom([]string{"", "/", "/new", "/new/", "/new/path"}).Draw(t, "path"); {
		case prefix && rapid.Bool().Draw(t, "prefix"):
			f.Path = &gateway.HTTPPathModifier{Type: gateway.PrefixMatchHTTPPathModifier, ReplacePrefixMatch: &path}
		case full && path != "" && rapid.Bool().Draw(t, "full"):
			f.Path = &gateway.HTTPPathModifier{Type: gateway.FullPathHTTPPathModifier, ReplaceFullPath: &path}
		}
		return f
	}); f != nil {
		all = append(all, gateway.HTTPRouteFilter{Type: gateway.HTTPRouteFilterURLRewrite, URLRewrite: *f})
	}
	return all
}

func anyRedirect(t *rapid.T, prefix bool) gateway.HTTPRouteFilter {
	f := &gateway.HTTPRequestRedirectFilter{
		Scheme:   seldom(t, "scheme", func() string { return rapid.SampledFrom([]string{"http", "https"}).Draw(t, "http or https") }),
		Hostname: seldom(t, "hostname", func() gateway.PreciseHostname { return "new.test" }),
		Port: seldom(t, "port", func() gateway.PortNumber {
			return rapid.SampledFrom([]gateway.PortNumber{80, 443, 8443}).Draw(t, "number")
		}),
		StatusCode: seldom(t, "status", func() int { return rapid.SampledFrom([]int{301, 302, 303, 307, 308}).Draw(t, "code") }),
	}
	switch path := rapid.SampledFrom([]string{"", "/", "/new", "/new/", "/new/path"}).Draw(t, "path"); {
	case prefix && rapid.Bool().Draw(t, "prefix"):
		f.Path = &gateway.HTTPPathModifier{Type: gateway.PrefixMatchHTTPPathModifier, ReplacePrefixMatch: &path}
	case path != "" && rapid.Bool().Draw(t, "full"):
		f.Path = &gateway.HTTPPathModifier{Type: gateway.FullPathHTTPPathModifier, ReplaceFullPath: &path}
	}
	return gateway.HTTPRouteFilter{Type: gateway.HTTPRouteFilterRequestRedirect, RequestRedirect: f}
}

// manifests are the world as somebody would write it down.
func (w *world) manifests() string {
	var b strings.Builder
	write := func(o any) {
		text, err := json.Marshal(o)
		if err != nil {
			panic(err)
		}
		var object map[string]any
		if err := json.Unmarshal(text, &object); err != nil {
			panic(err)
		}
		delete(object, "status")
		text, _ = json.Marshal(object)
		b.WriteString("---\n" + string(text) + "\n")
	}
	for _, r := range w.routes {
		r.TypeMeta = metav1.TypeMeta{APIVersion: "gateway.networking.k8s.io/v1", Kind: "HTTPRoute"}
		write(r)
	}
	listener := map[string]any{"name": "all", "port": 80, "protocol": "HTTP"}
	if w.listener != "" {
		listener["hostname"] = w.listener
	}
	write(map[string]any{
		"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": map[string]any{"name": "gw"},
		"spec": map[string]any{"gatewayClassName": "kong", "listeners": []any{listener}},
	})
	for _, s := range services {
		namespace, name, _ := strings.Cut(s, "/")
		fmt.Fprintf(&b, "---\n{apiVersion: v1, kind: Service, metadata: {name: %s, namespace: %s}, spec: {ports: [{name: a, port: 80}, {name: b, port: 81}]}}\n", name, namespace)
	}
	if w.granted {
		b.WriteString("---\n{apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, metadata: {name: g, namespace: other}, spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: default}], to: [{group: '', kind: Service}]}}\n")
	}
	return b.String()
}
