package httproute

import (
	"strings"
	"unicode/utf8"

	gateway "sigs.k8s.io/gateway-api/apis/v1"
)

// grpcMatch makes a match of a call, whose path is /SERVICE/METHOD, one of a path. A
// regular expression has to match the whole name.
func grpcMatch(m gateway.GRPCRouteMatch, at *trail) match {
	out := match{at: at, pathType: gateway.PathMatchPathPrefix, path: "/"}
	for i, h := range m.Headers {
		out.headers = appendOnce(out.headers, condition{at.field("headers").item(i), string(h.Name), h.Value, *h.Type == gateway.GRPCHeaderMatchRegularExpression}, strings.EqualFold)
	}
	if m.Method == nil {
		return out
	}
	service, method := "", ""
	if m.Method.Service != nil {
		service = *m.Method.Service
	}
	if m.Method.Method != nil {
		method = *m.Method.Method
	}
	out.length, out.methodLength = utf8.RuneCountInString(service), utf8.RuneCountInString(method)
	regex := *m.Method.Type == gateway.GRPCMethodMatchRegularExpression
	switch {
	case regex || service == "" && method != "":
		out.pathType, out.path = gateway.PathMatchRegularExpression, "/"+namePattern(service, regex)+"/"+namePattern(method, regex)+"$"
	case method == "" && service != "":
		out.path = "/" + service
	case service != "":
		out.pathType, out.path = gateway.PathMatchExact, "/"+service+"/"+method
	}
	return out
}

// namePattern is a regular expression for the name of a service or a method.
func namePattern(name string, regex bool) string {
	switch {
	case name == "":
		return "[^/]+"
	case regex:
		return "(?:" + name + ")"
	}
	return name // letters, digits and _
}
