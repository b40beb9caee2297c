package standin

import (
	"strconv"
	"strings"
)

var nginxMethods = map[string]pdkMethod{
	"ctx.shared.get": {anyPhase, true, withText(func(x *exchange, key string) ([]byte, error) {
		return encodeValue(x.shared[key]), nil
	})},
	"ctx.shared.set": {anyPhase, true, withKV(func(x *exchange, key string, value any) error {
		x.shared[key] = value
		return nil
	})},
	"nginx.get_ctx": {anyPhase, true, withText(func(x *exchange, key string) ([]byte, error) {
		return encodeValue(x.ctxValue(key)), nil
	})},
	"nginx.set_ctx": {anyPhase, true, withKV(func(x *exchange, key string, value any) error {
		if key == balancerKey {
			return x.setBalancerData(value)
		}
		x.ctx[key] = value
		return nil
	})},
	"nginx.get_var": {anyPhase, false, withText(func(x *exchange, name string) ([]byte, error) {
		return encodeText(x.variable(strings.ToLower(name))), nil
	})},
	"nginx.get_tls1_version_str": {anyPhase, false, text(func(x *exchange) string {
		if x.tls == nil {
			return ""
		}
		return tlsVersion(x.tls.Version)
	})},
	"nginx.req_start_time": {anyPhase, true, number(func(x *exchange) float64 {
		return float64(x.started.UnixMilli()) / 1000
	})},
	"nginx.get_subsystem": {anyPhase, true, text(func(x *exchange) string {
		if x.stream != nil {
			return "stream"
		}
		return "http"
	})},
}

// ctxValue is a value of ngx.ctx: of Kong's own, those that plugins read.
func (x *exchange) ctxValue(key string) any {
	if value, ok := x.ctx[key]; ok {
		return value
	}
	switch key {
	case "route":
		if x.route != nil {
			return x.route.Row
		}
	case "service":
		if x.service != nil {
			return x.service.Row
		}
	case "authenticated_consumer":
		if x.consumer != nil {
			return x.consumer
		}
	case "authenticated_credential":
		if x.credential != nil {
			return x.credential
		}
	case "workspace":
		return defaultWorkspace
	case "plugin_id":
		return x.pluginID
	case balancerKey:
		return x.balancerData()
	case "KONG_PROXIED": // it was to be; that may have failed
		if x.proxied {
			return true
		}
	case "KONG_UPSTREAM_DNS_START": // of the last try; not where the host is an address
		if t := x.times.addressSought; !t.IsZero() {
			return float64(t.UnixMilli())
		}
	}
	if x.stream != nil {
		return x.streamCtxValue(key)
	}
	switch key {
	case "request_uri":
		return x.uri
	case "scheme":
		return x.scheme()
	case "host_port":
		return float64(x.port())
	}
	return nil
}

// variable is a variable of nginx; empty where it has none of that name.
func (x *exchange) variable(name string) string {
	if x.stream != nil {
		if v, ok := streamVariables[name]; ok {
			return v(x)
		}
		return ""
	}
	if v, ok := variables[name]; ok {
		return v(x)
	}
	dashed := strings.ReplaceAll(name, "_", "-")
	if header, ok := strings.CutPrefix(dashed, "http-"); ok {
		if header == "host" {
			return x.host
		}
		separator := ", "
		if header == "cookie" {
			separator = "; "
		}
		return strings.Join(x.header.Values(header), separator)
	}
	if cookie, ok := strings.CutPrefix(name, "cookie_"); ok {
		return x.cookie(cookie)
	}
	if arg, ok := strings.CutPrefix(name, "arg_"); ok {
		return x.rawArg(arg)
	}
	if forwarded, ok := strings.CutPrefix(dashed, "upstream-x-forwarded-"); ok && x.route != nil {
		return x.forwarded["X-Forwarded-"+strings.ToUpper(forwarded[:1])+forwarded[1:]]
	}
	return ""
}

var variables = map[string]func(x *exchange) string{
	"args":               func(x *exchange) string { return x.args },
	"query_string":       func(x *exchange) string { return x.args },
	"connection":         func(x *exchange) string { return strconv.FormatUint(x.conn.number, 10) },
	"content_length":     func(x *exchange) string { return x.header.Get("Content-Length") },
	"content_type":       func(x *exchange) string { return x.header.Get("Content-Type") },
	"host":               (*exchange).hostName,
	"https":              func(x *exchange) string { return map[bool]string{true: "on"}[x.tls != nil] },
	"is_args":            func(x *exchange) string { return map[bool]string{true: "?"}[x.args != ""] },
	"kong_proxy_mode":    func(x *exchange) string { return "http" },
	"kong_request_id":    func(x *exchange) string { return x.id },
	"realip_remote_addr": func(x *exchange) string { return x.realIP },
	"realip_remote_port": func(x *exchange) string { return x.realPort },
	"remote_addr":        func(x *exchange) string { return x.clientIP },
	"remote_port":        func(x *exchange) string { return x.clientPort },
	"request":            (*exchange).requestLine,
	"request_method":     func(x *exchange) string { return x.method },
	"request_uri":        func(x *exchange) string { return x.uri },
	"scheme":             (*exchange).scheme,
	"server_port":        func(x *exchange) string { return strconv.Itoa(x.port()) },
	"server_protocol":    func(x *exchange) string { return x.r.Proto },
	"upstream_host":      func(x *exchange) string { return x.upstreamHost },
	"upstream_scheme":    func(x *exchange) string { return x.upstreamScheme },
	"upstream_uri":       func(x *exchange) string { return x.upstreamURI },
	"uri":                func(x *exchange) string { return unescapePath(x.path()) },
}

// unescapePath decodes all escapes, as nginx's $uri is.
func unescapePath(path string) string {
	return unescapeArg(strings.ReplaceAll(path, "+", "%2B"))
}

// cookie is the value of a cookie as it stands in the request.
func (x *exchange) cookie(name string) string {
	for _, header := range x.header.Values("Cookie") {
		for pair := range strings.SplitSeq(header, ";") {
			key, value, ok := strings.Cut(strings.TrimSpace(pair), "=")
			if ok && strings.EqualFold(key, name) {
				return value
			}
		}
	}
	return ""
}

// rawArg is the first argument of a name as it stands in the query.
func (x *exchange) rawArg(name string) string {
	for pair := range strings.SplitSeq(x.args, "&") {
		key, value, _ := strings.Cut(pair, "=")
		if strings.EqualFold(key, name) {
			return value
		}
	}
	return ""
}
