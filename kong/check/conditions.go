package check

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"kong-traffic-split/kong/declarative"
	"kong-traffic-split/kong/expression"
)

// refusedByHeaders returns why a route does not take a request with these headers; nil: it
// does. A header that the request is not said to have may be there.
func (q *Request) refusedByHeaders(r *declarative.Route) error {
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		has := q.header(expression.HeaderField(name))
		if has == nil || slices.ContainsFunc(has, func(v string) bool { return takesHeader(r.Headers[name], v) }) {
			continue
		}
		return fmt.Errorf("header %s: the %s takes %s, so that Kong answers with 404", name, nameOf(r), strings.Join(r.Headers[name], ", "))
	}
	return nil
}

// header returns the values of a header, by its name in Kong's router.
func (q *Request) header(field string) (values []string) {
	for _, h := range q.Headers {
		if expression.HeaderField(h.Name) == field {
			values = append(values, h.Value)
		}
	}
	return values
}

// takesHeader reports whether one of the values of a route's header, or of their expressions
// behind ~*, is that of a request. Kong compares both in lower case.
func takesHeader(wanted []string, value string) bool {
	value = strings.ToLower(value)
	return slices.ContainsFunc(wanted, func(want string) bool {
		text, isRegexp := strings.CutPrefix(strings.ToLower(want), "~*")
		if !isRegexp {
			return text == value
		}
		re, err := regexp.Compile(text)
		return err != nil || re.MatchString(value)
	})
}

// refusedByExpression returns why a route's expression holds for no request of which this is
// said; nil: it may hold.
func (q *Request) refusedByExpression(r *declarative.Route) error {
	if r.Expression == nil {
		return nil
	}
	e, err := expression.Parse(*r.Expression, false)
	if err != nil || e.CanHold(q.values) {
		return nil
	}
	var said []string
	for _, part := range []struct {
		option string
		is     bool
	}{{"method", q.Method != ""}, {"path", q.Path != ""}, {"query", q.Query != ""}, {"header", q.Headers != nil}, {q.Scheme, q.Scheme != ""}} {
		if part.is {
			said = append(said, part.option)
		}
	}
	return fmt.Errorf("%s: the expression of the %s does not hold, so that Kong answers with 404: %s", strings.Join(said, ", --"), nameOf(r), *r.Expression)
}

// values returns what is said of a field of Kong's router.
func (q *Request) values(field string) (values []expression.Value, known bool) {
	one := func(text string) ([]expression.Value, bool) { return []expression.Value{text}, text != "" }
	switch name := field; {
	case name == "http.method":
		return one(q.Method)
	case name == "http.path":
		return one(q.Path)
	case name == "http.host":
		host := q.Host
		if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
			host = host[:i]
		}
		return one(strings.ToLower(host))
	case name == "net.protocol":
		return one(q.Scheme)
	case strings.HasPrefix(name, "http.headers."):
		for _, v := range q.header(strings.TrimPrefix(name, "http.headers.")) {
			values = append(values, v)
		}
		return values, values != nil
	case strings.HasPrefix(name, "http.queries.") && q.Query != "":
		query, err := url.ParseQuery(q.Query)
		for _, v := range query[strings.TrimPrefix(name, "http.queries.")] {
			values = append(values, v)
		}
		return values, err == nil
	}
	return nil, false
}
