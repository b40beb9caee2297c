package standin

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
)

// An answer is one that Kong gives itself.
type answer struct {
	status int
	body   []byte // nil: none was given
	header http.Header
}

// errorMessages are those of Kong for statuses without a message of their own.
var errorMessages = map[int]string{
	400: "Bad request", 401: "Unauthorized", 403: "Forbidden", 404: "Not found",
	405: "Method not allowed", 408: "Request timeout", 411: "Length required",
	412: "Precondition failed", 413: "Payload too large", 414: "URI too long",
	415: "Unsupported media type", 417: "Expectation failed", 426: "Upgrade required",
	429: "Too many requests", 431: "Request header fields too large",
	500: "An unexpected error occurred", 501: "Not implemented",
	502: "An invalid response was received from the upstream server",
	503: "The upstream server is currently unavailable",
	504: "The upstream server is timing out",
}

// Media types of error pages, with charset.
const (
	typeJSON  = "application/json; charset=utf-8"
	typePlain = "text/plain; charset=utf-8"
	typeGRPC  = "application/grpc"
)

var errorPages = map[string]string{
	typeJSON:  "{\n  \"message\":\"%s\",\n  \"request_id\":\"%s\"\n}",
	typePlain: "%s\nrequest_id: %s\n",
}

// errorType chooses the media type of an error page, by an Accept header.
func errorType(accept string) string {
	if strings.HasPrefix(accept, "text/") {
		return typePlain
	}
	return typeJSON
}

// errorAnswer is Kong's answer with an error page. Without a message it is
// that of the status.
func (x *exchange) errorAnswer(status int, message string, header http.Header) *answer {
	kind := errorType(x.header.Get("Accept"))
	if x.isGRPC() {
		kind = typeGRPC
	}
	return x.errorPage(status, message, kind, header)
}

func (x *exchange) errorPage(status int, message, kind string, header http.Header) *answer {
	if message == "" {
		message = cmp.Or(errorMessages[status], fmt.Sprintf("The upstream server responded with %d", status))
	}
	if header == nil {
		header = http.Header{}
	}
	header.Set("Content-Type", kind)
	a := &answer{status: status, header: header}
	if page, ok := errorPages[kind]; ok {
		a.body = fmt.Appendf(nil, page, message, x.id)
	}
	return a
}

// unexpectedAnswer is the page of nginx's own errors, such as 502.
func (x *exchange) unexpectedAnswer(status int) *answer {
	x.unexpected = true
	accept := cmp.Or(x.header.Get("Accept"), x.header.Get("Content-Type"), "text/plain")
	if strings.HasPrefix(accept, "application/grpc") {
		return &answer{status: status, header: grpcHeader(status, errorMessages[status])}
	}
	return x.errorPage(status, "", errorType(accept), nil)
}

// respondError is kong.response.error in a plugin's phase.
func (x *exchange) respondError(status int, message string, header http.Header) error {
	if err := checkPhase(x, phasesOfAnswers); err != nil {
		return err
	}
	x.delayed = x.exitError(status, message, header)
	return errAnswered
}

// grpcStatuses are those of gRPC for HTTP's.
var grpcStatuses = map[int]int{
	200: 0, 400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 429: 8, 499: 1, 500: 13, 501: 12, 503: 14, 504: 4,
}

var grpcMessages = []string{
	"OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists",
	"PermissionDenied", "ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange",
	"Unimplemented", "Internal", "Unavailable", "DataLoss", "Unauthenticated",
}

func grpcStatus(status int) int {
	for _, known := range []int{status, status / 100 * 100} {
		if code, ok := grpcStatuses[known]; ok {
			return code
		}
	}
	return 2
}

func grpcHeader(status int, message string) http.Header {
	code := grpcStatus(status)
	return http.Header{
		"Content-Type": {typeGRPC},
		"Grpc-Status":  {strconv.Itoa(code)},
		"Grpc-Message": {cmp.Or(message, grpcMessages[code])},
	}
}

// send sends Kong's own answer to the client.
func (x *exchange) send(a *answer) {
	header := x.w.Header()
	header["Content-Type"] = nil // nothing is guessed
	maps.Copy(header, x.response)
	maps.Copy(header, a.header)
	body := a.body
	if strings.HasPrefix(header.Get("Content-Type"), typeGRPC) || header.Get("Content-Type") == "" && x.isGRPC() {
		for name, values := range grpcHeader(a.status, string(body)) {
			if header.Get(name) == "" {
				header[name] = values
			}
		}
		body = nil
	}
	if header.Get("Content-Length") == "" {
		header.Set("Content-Length", strconv.Itoa(len(body)))
	}
	x.filterHeader(header)
	if x.proxied {
		x.addProxyHeaders(header)
	} else {
		header.Set("X-Kong-Response-Latency", millis(x.started))
		header.Set("Server", serverTokens)
	}
	header.Set("X-Kong-Request-Id", x.id)
	x.status, x.sentHeader = a.status, header.Clone()
	x.w.WriteHeader(a.status)
	n, _ := x.w.Write(body) // the client may have gone
	x.sent += int64(n)
}
