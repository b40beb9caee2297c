package httproute

import (
	"regexp"
	"slices"
	"strings"

	gateway "sigs.k8s.io/gateway-api/apis/v1"

	"kong-traffic-split/kong/declarative"
	router "kong-traffic-split/kong/expression"
)

// cacheKey always holds. Kong's router keeps what it found for a request, by all fields
// that some route asks for but net.protocol (kong/router/fields.lua): so these two, in which
// http and https differ, have to be asked for.
const cacheKey = `!(tls.sni == "" && net.dst.port == 0)`

// mixed reports whether some entries take requests by other protocols than others.
func mixed(plans []*plan) bool {
	var first *entry
	for _, p := range plans {
		for _, e := range p.entries {
			if first == nil {
				first = e
			} else if !slices.Equal(first.protocols, e.protocols) {
				return true
			}
		}
	}
	return false
}

// expression is an entry in the language of Kong's router; mixed says that there are
// entries of other protocols.
func (e *entry) expression(mixed bool) string {
	var and []string
	if len(e.protocols) == 1 {
		protocol := "http"
		if strings.HasSuffix(e.protocols[0], "s") {
			protocol = "https"
		}
		and = append(and, "net.protocol == "+literal(protocol))
		if mixed {
			and = append(and, cacheKey)
		}
	}
	var hosts []string
	for _, h := range e.hostnames {
		if suffix, ok := strings.CutPrefix(h, "*"); ok {
			hosts = append(hosts, "http.host =^ "+literal(suffix))
		} else {
			hosts = append(hosts, "http.host == "+literal(h))
		}
	}
	and = append(and, either(hosts)...)
	and = append(and, either(e.paths())...)
	if e.match.method != "" {
		and = append(and, "http.method == "+literal(e.match.method))
	}
	for _, h := range e.match.headers {
		and = append(and, h.predicate("http.headers."+router.HeaderField(h.name)))
	}
	for _, q := range e.match.queries {
		and = append(and, q.predicate("http.queries."+q.name))
	}
	return strings.Join(and, " && ")
}

func either(predicates []string) []string {
	if len(predicates) > 1 {
		return []string{"(" + strings.Join(predicates, " || ") + ")"}
	}
	return predicates
}

// paths are predicates of the path, of which one has to hold. A prefix is one by whole
// elements.
func (e *entry) paths() []string {
	m := e.match
	path := declarative.NormalizePath(m.path)
	prefix := strings.TrimSuffix(path, "/")
	switch {
	case m.pathType == gateway.PathMatchExact:
		return []string{"http.path == " + literal(path)}
	case m.pathType == gateway.PathMatchRegularExpression:
		return []string{"http.path ~ " + literal("^(?:"+strings.TrimPrefix(m.path, "^")+")")}
	case prefix == "":
		return []string{`http.path ^= "/"`}
	}
	return []string{"http.path == " + literal(prefix), "http.path ^= " + literal(prefix+"/")}
}

func (c condition) predicate(field string) string {
	if c.regex {
		return field + " ~ " + literal(c.value)
	}
	return field + " == " + literal(c.value)
}

var escapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`)

// literal is a string in an expression.
func literal(s string) string { return `"` + escapes.Replace(s) + `"` }

var (
	headerFieldName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	queryFieldName  = regexp.MustCompile(`^[A-Za-z0-9_]+$`)
)

// checkMatch reports what Kong's router can match in no flavor.
func (e *entry) checkMatch() {
	d, m := e.rule.route.doc, e.match
	if m.pathType == gateway.PathMatchRegularExpression {
		at := m.at.fields("path", "value")
		if e.rule.route.grpc {
			at = m.at.field("method")
		}
		e.checkRegex(m.path, at)
	}
	for _, h := range m.headers {
		if !headerFieldName.MatchString(h.name) {
			d.leave(h.at.field("name"), "%s: Kong's router knows only headers named by letters, digits, - and _", quote(h.name))
			e.dropped = true
		}
		if h.regex {
			e.checkRegex(h.value, h.at.field("value"))
		}
	}
	for _, q := range m.queries {
		if q.regex {
			e.checkRegex(q.value, q.at.field("value"))
		}
	}
}

// checkExpression reports what the expressions of Kong's router cannot match.
func (c *converter) checkExpression(e *entry) {
	for _, q := range e.match.queries {
		if !queryFieldName.MatchString(q.name) {
			e.rule.route.doc.leave(q.at.field("name"), "%s: Kong's router knows only arguments named by letters, digits and _", quote(q.name))
			e.dropped = true
		}
	}
}

// checkRegex reports an expression that Kong's router does not compile, or takes for
// another one. Its library, Rust's, knows neither back references nor look-around, as Go's.
func (e *entry) checkRegex(expression string, at *trail) {
	_, err := router.Compile(expression)
	if err == nil {
		err = router.Ambiguous(expression)
	}
	if err != nil {
		e.rule.route.doc.leave(at, "%s is no regular expression that Kong's router takes: %v", quote(expression), err)
		e.dropped = true
	}
}
