package httproute_test

import (
	"cmp"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	gateway "sigs.k8s.io/gateway-api/apis/v1"
)

// What the Gateway API says that becomes of a request, written down from its types' comments.
// Where the spec leaves something open, as for regular expressions, it is what
// docs/gateway-api.md says.

// call is a request of a client.
type call struct {
	method, host, path, query string
	headers                   map[string]string
}

// seen is what becomes of a call at one backend: what that one gets, and the client.
type seen struct {
	backend  string // namespace/name:port; empty: Kong answers
	status   int
	path     string
	host     string
	request  string // those of its headers that the tests have, in order
	response string
}

// share is how many of the calls end so.
type share struct {
	seen
	weight int
}

// answers are the shares of a call.
func (w *world) answers(c call, echoed map[string]string) []share {
	type candidate struct {
		route *gateway.HTTPRoute
		rule  int
		match gateway.HTTPRouteMatch
		host  string // that of the route or the listener which takes the call
	}
	var all []candidate
	for _, r := range w.routes {
		host, ok := w.hostOf(r, c.host)
		if !ok {
			continue
		}
		for i, rule := range r.Spec.Rules {
			matches := rule.Matches
			if len(matches) == 0 {
				matches = []gateway.HTTPRouteMatch{{}}
			}
			for _, m := range matches {
				if m.Path == nil {
					m.Path = &gateway.HTTPPathMatch{Type: new(gateway.PathMatchPathPrefix), Value: new("/")}
				}
				if holds(m, c) {
					all = append(all, candidate{r, i, m, host})
				}
			}
		}
	}
	if len(all) == 0 {
		return []share{{seen{status: 404}, 1}}
	}
	slices.SortStableFunc(all, func(a, b candidate) int {
		return cmp.Or(
			compareTrue(!strings.HasPrefix(b.host, "*") && b.host != "", !strings.HasPrefix(a.host, "*") && a.host != ""),
			cmp.Compare(len(b.host), len(a.host)),
			cmp.Compare(kindOf(b.match), kindOf(a.match)),
			cmp.Compare(lengthOf(b.match), lengthOf(a.match)),
			compareTrue(b.match.Method != nil, a.match.Method != nil),
			cmp.Compare(len(b.match.Headers), len(a.match.Headers)),
			cmp.Compare(len(b.match.QueryParams), len(a.match.QueryParams)),
			compareTrue(!b.route.CreationTimestamp.IsZero(), !a.route.CreationTimestamp.IsZero()),
			a.route.CreationTimestamp.Compare(b.route.CreationTimestamp.Time),
			cmp.Compare(a.route.Name, b.route.Name),
			cmp.Compare(a.rule, b.rule),
		)
	})
	return w.shares(all[0].route, all[0].rule, all[0].match, c, echoed)
}

func compareTrue(a, b bool) int {
	number := map[bool]int{true: 1}
	return cmp.Compare(number[a], number[b])
}

func kindOf(m gateway.HTTPRouteMatch) int {
	return slices.Index([]gateway.PathMatchType{gateway.PathMatchPathPrefix, gateway.PathMatchRegularExpression, gateway.PathMatchExact}, *m.Path.Type)
}

// lengthOf is that of a prefix, in which a slash at the end does not count.
func lengthOf(m gateway.HTTPRouteMatch) int {
	if *m.Path.Type != gateway.PathMatchPathPrefix {
		return 0
	}
	return len(strings.TrimSuffix(*m.Path.Value, "/"))
}

// hostOf is the most specific of the hostnames by which a route takes a call.
func (w *world) hostOf(r *gateway.HTTPRoute, host string) (best string, ok bool) {
	host, _, _ = strings.Cut(host, ":")
	if w.listener != "" && !takesHost(w.listener, host) {
		return "", false
	}
	if len(r.Spec.Hostnames) == 0 {
		return w.listener, true
	}
	for _, h := range r.Spec.Hostnames {
		if !takesHost(string(h), host) {
			continue
		}
		both := string(h)
		if moreSpecific(w.listener, both) {
			both = w.listener
		}
		if !ok || moreSpecific(both, best) {
			best, ok = both, true
		}
	}
	return best, ok
}

func takesHost(hostname, host string) bool {
	if suffix, ok := strings.CutPrefix(hostname, "*"); ok {
		return strings.HasSuffix(host, suffix) && len(host) > len(suffix)
	}
	return hostname == host
}

func moreSpecific(a, b string) bool {
	wildA, wildB := strings.HasPrefix(a, "*"), strings.HasPrefix(b, "*")
	return a != "" && (b == "" || !wildA && wildB || wildA == wildB && len(a) > len(b))
}

func holds(m gateway.HTTPRouteMatch, c call) bool {
	switch value := *m.Path.Value; *m.Path.Type {
	case gateway.PathMatchExact:
		if c.path != value {
			return false
		}
	case gateway.PathMatchRegularExpression:
		if !regexp.MustCompile("^(?:" + value + ")").MatchString(c.path) {
			return false
		}
	default:
		prefix := strings.TrimSuffix(value, "/")
		if c.path != prefix && !strings.HasPrefix(c.path, prefix+"/") {
			return false
		}
	}
	if m.Method != nil && string(*m.Method) != c.method {
		return false
	}
	for _, h := range m.Headers {
		value, ok := c.headers[strings.ToLower(string(h.Name))]
		if h.Type != nil && *h.Type == gateway.HeaderMatchRegularExpression {
			ok = ok && regexp.MustCompile(h.Value).MatchString(value)
		} else {
			ok = ok && value == h.Value
		}
		if !ok {
			return false
		}
	}
	query, _ := url.ParseQuery(c.query)
	for _, q := range m.QueryParams {
		ok := query.Has(string(q.Name))
		if q.Type != nil && *q.Type == gateway.QueryParamMatchRegularExpression {
			ok = ok && regexp.MustCompile(q.Value).MatchString(query.Get(string(q.Name)))
		} else {
			ok = ok && query.Get(string(q.Name)) == q.Value
		}
		if !ok {
			return false
		}
	}
	return true
}

// shares are those of a rule.
func (w *world) shares(r *gateway.HTTPRoute, index int, m gateway.HTTPRouteMatch, c call, echoed map[string]string) (all []share) {
	rule := r.Spec.Rules[index]
	for _, f := range rule.Filters {
		if f.RequestRedirect != nil {
			return []share{{redirect(f.RequestRedirect, m, c), 1}}
		}
	}
	failed := share{seen{status: 500}, 1}
	sum := 0
	for _, ref := range rule.BackendRefs {
		weight := 1
		if ref.Weight != nil {
			weight = int(*ref.Weight)
		}
		sum += weight
		if weight == 0 {
			continue
		}
		s := share{failed.seen, weight}
		if service, ok := w.service(ref); ok {
			s.seen = forward(r, rule, ref, m, c, echoed)
			s.backend = service
			if len(ref.Filters) > 0 && ref.Filters[0].RequestRedirect != nil {
				s.seen = redirect(ref.Filters[0].RequestRedirect, m, c)
			}
		}
		if i := slices.IndexFunc(all, func(other share) bool { return other.seen == s.seen }); i >= 0 {
			all[i].weight += weight
		} else {
			all = append(all, s)
		}
	}
	if sum == 0 {
		return []share{failed}
	}
	return all
}

// service is what a backendRef leads to.
func (w *world) service(ref gateway.HTTPBackendRef) (string, bool) {
	namespace := "default"
	if ref.Namespace != nil {
		namespace = string(*ref.Namespace)
	}
	key := namespace + "/" + string(ref.Name)
	return key + ":" + map[gateway.PortNumber]string{80: "80", 81: "81"}[*ref.Port], slices.Contains(services, key) && (namespace == "default" || w.granted)
}

// forward is what a backend sees of a call, and its client of the answer.
func forward(r *gateway.HTTPRoute, rule gateway.HTTPRouteRule, ref gateway.HTTPBackendRef, m gateway.HTTPRouteMatch, c call, echoed map[string]string) seen {
	s := seen{status: 200, path: c.path, host: c.host}
	if r.Annotations["konghq.com/preserve-host"] == "false" {
		s.host = "backend"
	}
	if r.Annotations["konghq.com/strip-path"] == "true" {
		s.path = stripped(m, c.path)
	}
	request, response := map[string]string{}, map[string]string{}
	for name, value := range c.headers {
		request[name] = value
	}
	for name, value := range echoed {
		response[name] = value
	}
	for _, f := range slices.Concat(rule.Filters, ref.Filters) {
		change(request, f.RequestHeaderModifier)
		change(response, f.ResponseHeaderModifier)
		if f.URLRewrite == nil {
			continue
		}
		if f.URLRewrite.Hostname != nil {
			s.host = string(*f.URLRewrite.Hostname)
		}
		if f.URLRewrite.Path != nil {
			s.path = modified(f.URLRewrite.Path, m, c)
		}
	}
	if s.path == "" {
		s.path = "/"
	}
	if c.query != "" {
		s.path += "?" + c.query
	}
	for name, value := range response { // added in access, a value comes before those of the backend
		response[name] = inOrder(strings.Split(value, ", "))
	}
	s.request, s.response = listed(request), listed(response)
	return s
}

// modified is the path of a call, as a filter changes it.
func modified(path *gateway.HTTPPathModifier, m gateway.HTTPRouteMatch, c call) string {
	if path.ReplaceFullPath != nil {
		return *path.ReplaceFullPath
	}
	rest := strings.TrimPrefix(c.path, strings.TrimSuffix(*m.Path.Value, "/"))
	if c.path == "/" { // the spec does not say whether its slash stays behind the new prefix
		rest = ""
	}
	return strings.TrimSuffix(*path.ReplacePrefixMatch, "/") + rest
}

// redirect is what a client gets to see of one. Its path is the URL that it leads to.
func redirect(f *gateway.HTTPRequestRedirectFilter, m gateway.HTTPRouteMatch, c call) seen {
	s := seen{status: 302}
	if f.StatusCode != nil {
		s.status = *f.StatusCode
	}
	u := url.URL{Scheme: "http", Path: c.path}
	u.Host, _, _ = strings.Cut(c.host, ":")
	if f.Hostname != nil {
		u.Host = string(*f.Hostname)
	}
	if f.Scheme != nil {
		u.Scheme = *f.Scheme
	}
	if own := map[string]gateway.PortNumber{"http": 80, "https": 443}; f.Port != nil && *f.Port != own[u.Scheme] {
		u.Host += ":" + strconv.Itoa(int(*f.Port))
	}
	if f.Path != nil {
		u.Path = cmp.Or(modified(f.Path, m, c), "/")
	}
	s.path = alike(u.String())
	return s
}

// alike is a URL without the port that some clients have asked for, which the one keeps
// and the other, for the port of the listener, does not; and without the query, which goes
// where Kong's own plugin has the whole path.
func alike(location string) string {
	location, _, _ = strings.Cut(location, "?")
	return strings.Replace(location, ":8000/", "/", 1)
}

// stripped is a path without what a match has found.
func stripped(m gateway.HTTPRouteMatch, path string) string {
	found := strings.TrimSuffix(*m.Path.Value, "/")
	switch *m.Path.Type {
	case gateway.PathMatchExact:
		return "/"
	case gateway.PathMatchRegularExpression:
		found = regexp.MustCompile("^(?:" + *m.Path.Value + ")").FindString(path)
	}
	return "/" + strings.TrimPrefix(strings.TrimPrefix(path, found), "/")
}

func change(headers map[string]string, f *gateway.HTTPHeaderFilter) {
	if f == nil {
		return
	}
	for _, name := range f.Remove {
		delete(headers, strings.ToLower(name))
	}
	for _, h := range f.Set {
		headers[strings.ToLower(string(h.Name))] = h.Value
	}
	for _, h := range f.Add {
		name := strings.ToLower(string(h.Name))
		if before, ok := headers[name]; ok {
			headers[name] = before + ", " + h.Value
		} else {
			headers[name] = h.Value
		}
	}
}

func inOrder(values []string) string {
	slices.Sort(values)
	return strings.Join(values, ", ")
}

func listed(headers map[string]string) string {
	var all []string
	for name, value := range headers {
		all = append(all, name+": "+value)
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}
