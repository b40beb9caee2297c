package standin

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// What plugins do about the answer: kong.response.

// source is where the answer comes from.
func (x *exchange) source() string {
	switch {
	case x.unexpected:
		return "error"
	case x.exited:
		return "exit"
	case x.proxied:
		return "service"
	}
	return "error"
}

// getResponseHeader is the first value of a header that the client has got; not of a trailer.
func getResponseHeader(x *exchange, name string) (any, error) { return x.sentHeader.Get(name), nil }

func getStatus(x *exchange, _ none) (any, error) { return x.status, nil }

// isTransferEncoding reports whether it is the one header that cannot be set, and
// logs that it is ignored.
func (x *exchange) isTransferEncoding(name string) bool {
	name = strings.ToLower(name)
	if name != "transfer-encoding" && name != "transfer_encoding" {
		return false
	}
	x.kongLog(levelWarn, "response.lua", "manually setting Transfer-Encoding. Ignored.")
	return true
}

func setResponseHeader(x *exchange, h keyValue) (any, error) {
	return nil, x.putResponseHeader(x.response, h.key, h.value)
}

// putResponseHeader sets a header of an answer, in the place of those of its name.
func (x *exchange) putResponseHeader(header http.Header, name string, value any) error {
	if err := checkHeader(name, value); err != nil {
		return err
	}
	if !x.isTransferEncoding(name) {
		header[http.CanonicalHeaderKey(name)] = headerValues(value)
	}
	return nil
}

func addResponseHeader(x *exchange, h keyValue) (any, error) {
	if err := checkHeader(h.key, h.value); err != nil {
		return nil, err
	}
	for _, v := range headerValues(h.value) {
		x.response.Add(h.key, v)
	}
	return nil, nil
}

// exit answers the client in the Service's place, and ends the exchange with
// the plugin server.
func exit(x *exchange, args exitArgs) (any, error) {
	if args.status < 100 || args.status > 599 {
		return nil, raise("code must be a number between 100 and 599")
	}
	a := &answer{status: args.status, body: args.body, header: http.Header{}}
	for name, value := range args.headers {
		if err := x.putResponseHeader(a.header, name, value); err != nil {
			return nil, err
		}
	}
	x.exited, x.delayed = true, a
	return nil, errAnswered
}

// exitStream ends a TCP connection, and the exchange with the plugin server. A body
// is the client's only where the status is no error.
func exitStream(x *exchange, args exitArgs) (any, error) {
	if !slices.Contains([]int{200, 400, 403, 500, 502, 503}, args.status) {
		return nil, raise("unacceptable code, only 200, 400, 403, 500, 502 and 503 are accepted")
	}
	if args.status >= 400 {
		x.kongLog(levelError, "response.lua:830", fmt.Sprintf("unable to proxy stream connection, status: %d, err: %s", args.status, args.body))
	}
	x.exited, x.delayed = true, &answer{status: args.status, body: args.body}
	return nil, errAnswered
}
