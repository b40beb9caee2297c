package standin

import (
	"net/http"
	"strconv"
	"strings"
)

// phasesOfReading are those in which there is a request.
var phasesOfReading = phaseSet{
	access: true, log: true,
	names: "rewrite, access, balancer, response, cluster_listener, header_filter, body_filter, log, error, admin_api",
}

var requestMethods = map[string]pdkMethod{
	"request.get_scheme":           {phasesOfReading, false, text((*exchange).scheme)},
	"request.get_host":             {phasesOfReading, false, text((*exchange).hostName)},
	"request.get_port":             {phasesOfReading, false, integer((*exchange).port)},
	"request.get_forwarded_scheme": {phasesOfReading, false, text((*exchange).forwardedScheme)},
	"request.get_forwarded_host":   {phasesOfReading, false, text((*exchange).forwardedHost)},
	"request.get_forwarded_port":   {phasesOfReading, false, integer((*exchange).forwardedPort)},
	"request.get_http_version":     {phasesOfReading, false, number((*exchange).httpVersion)},
	"request.get_method":           {phasesOfReading, false, text(func(x *exchange) string { return x.method })},
	"request.get_path":             {phasesOfReading, false, text((*exchange).path)},
	"request.get_path_with_query":  {phasesOfReading, false, text(func(x *exchange) string { return x.uri })},
	"request.get_raw_query":        {phasesOfReading, false, text(func(x *exchange) string { return x.args })},
	"request.get_query_arg":        {phasesOfReading, false, withText(getQueryArg)},
	"request.get_query":            {phasesOfReading, false, getQuery},
	"request.get_header":           {phasesOfReading, true, withText(getHeader)},
	"request.get_headers":          {phasesOfReading, true, getHeaders},
	"request.get_raw_body":         {phasesOfBody, false, getRawBody},
	"request.get_uri_captures":     {phasesOfReading, true, getURICaptures},
}

// claim is what a trusted proxy says in a header, or empty.
func (x *exchange) claim(header string) string {
	if !x.gateway.trusts(x.realIP) {
		return ""
	}
	return x.header.Get(header)
}

func (x *exchange) forwardedScheme() string {
	return strings.ToLower(orText(x.claim("X-Forwarded-Proto"), x.scheme()))
}

func (x *exchange) forwardedHost() string {
	host := x.claim("X-Forwarded-Host")
	if host == "" {
		return x.hostName()
	}
	_, after, ok := strings.Cut(host, "@")
	if ok {
		host = after
	}
	host, _, _ = strings.Cut(host, ":")
	return strings.ToLower(host)
}

func (x *exchange) forwardedPort() int {
	_, ofHost, _ := strings.Cut(x.claim("X-Forwarded-Host"), ":")
	for _, claim := range []string{x.claim("X-Forwarded-Port"), ofHost} {
		if port, err := strconv.Atoi(claim); err == nil && port >= 1 && port <= 65535 {
			return port
		}
	}
	return x.port()
}

// getQueryArg fails for an argument without a value, whose true is no text.
func getQueryArg(x *exchange, name string) ([]byte, error) {
	value := parseArgs(x.args, maxArgs)[name]
	if list, ok := value.([]any); ok {
		value = list[0]
	}
	switch v := value.(type) {
	case nil:
		return nil, nil
	case string:
		return encodeText(v), nil
	}
	return nil, raise("bad argument #2 to 'encode' (string expected for field 'v', got %s)", luaType(value))
}

// checkLimit is of the greatest number of what is asked for.
func checkLimit(args []byte, what string) (int, error) {
	n, err := decodeInt(args)
	switch {
	case err != nil:
		return 0, err
	case n < 1:
		return 0, raise("%s must be >= 1", what)
	case n > 1000:
		return 0, raise("%s must be <= 1000", what)
	}
	return n, nil
}

func getQuery(x *exchange, args []byte) ([]byte, error) {
	most, err := checkLimit(args, "max_args")
	if err != nil {
		return nil, err
	}
	return encodeStruct(parseArgs(x.args, most)), nil
}

// getHeader is the first value.
func getHeader(x *exchange, name string) ([]byte, error) {
	if strings.EqualFold(name, "host") {
		return encodeText(x.host), nil
	}
	return encodeText(x.header.Get(name)), nil
}

func getHeaders(x *exchange, args []byte) ([]byte, error) {
	if x.phase == phaseLog { // Kong has kept them and does not look at the limit
		return encodeStruct(x.headerTable(maxArgs)), nil
	}
	most, err := checkLimit(args, "max_headers")
	if err != nil {
		return nil, err
	}
	return encodeStruct(x.headerTable(most)), nil
}

// headerTable is the request's header as Lua has it: names are lower case, and
// several values a list.
func (x *exchange) headerTable(most int) map[string]any {
	all := lowerHeader(x.header, most-1)
	if x.host != "" {
		all["host"] = x.host
	}
	return all
}

func lowerHeader(header http.Header, most int) map[string]any {
	all := map[string]any{}
	for name, values := range header {
		for _, value := range values {
			if most == 0 {
				return all
			}
			most--
			addValue(all, strings.ToLower(name), value)
		}
	}
	return all
}

// getRawBody answers with the body or, where it is long, with a file's path.
func getRawBody(x *exchange, _ []byte) ([]byte, error) {
	content, file, err := x.readBody()
	switch {
	case err != nil:
		return appendText(nil, 3, err.Error()), nil
	case file != "":
		return appendText(nil, 2, file), nil
	}
	return appendBytes(nil, 1, content), nil
}

func getURICaptures(x *exchange, _ []byte) ([]byte, error) {
	if x.match == nil || x.match.captures == nil {
		return nil, nil
	}
	var out []byte
	for _, group := range x.match.captures.unnamed {
		out = appendBytes(out, 1, []byte(group))
	}
	for name, group := range x.match.captures.named {
		out = appendBytes(out, 2, appendText(appendText(nil, 1, name), 2, group))
	}
	return out, nil
}
