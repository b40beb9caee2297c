package standin

import (
	"cmp"
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"
)

// serverTokens is what Kong calls itself.
const (
	version      = "3.9.3"
	serverTokens = "kong/" + version
)

// hopByHop are headers that are not passed on.
var hopByHop = []string{
	"Connection", "Expect", "Keep-Alive", "Proxy", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// dropHopByHop deletes these, and those that Connection lists.
func dropHopByHop(header http.Header) {
	for _, value := range header.Values("Connection") {
		for _, name := range strings.Split(value, ",") {
			if name = textproto.TrimString(name); name != "" {
				header.Del(name)
			}
		}
	}
	for _, name := range hopByHop {
		header.Del(name)
	}
}

// upstreamHeader is the header of the request for the Service.
func (x *exchange) upstreamHeader() http.Header {
	header := x.header.Clone()
	upgrade := strings.EqualFold(header.Get("Upgrade"), "websocket")
	trailers := slices.ContainsFunc(header.Values("Te"), func(value string) bool {
		return slices.Contains(list(value), "trailers")
	})
	dropHopByHop(header)
	header.Del("Host")
	header.Del("Content-Length") // the transport sets it
	if _, given := header["User-Agent"]; !given {
		header["User-Agent"] = []string{""} // the transport sends none, then
	}
	switch {
	case x.isGRPCService():
	case upgrade:
		header["Connection"] = []string{"keep-alive, Upgrade"}
		header["Upgrade"] = []string{"websocket"}
	default:
		header["Connection"] = []string{"keep-alive"}
	}
	if trailers {
		header["Te"] = []string{"trailers"}
	}
	setHeaders(header, x.forwarded)
	return header
}

// setHeaders sets headers, and deletes those without a value.
func setHeaders(header http.Header, values map[string]string) {
	for name, value := range values {
		header.Del(name)
		if value != "" {
			header.Set(name, value)
		}
	}
}

// withVia is what a message's header Via becomes.
func withVia(header http.Header, protocol string) string {
	via := protocol + " " + serverTokens
	if given := header.Get("Via"); given != "" {
		return given + ", " + via
	}
	return via
}

// forwardedHeaders are those that tell the Service about the client's request,
// before plugins change it. Those that are empty are not sent.
func (x *exchange) forwardedHeaders() map[string]string {
	forwardedFor := x.clientIP
	if given := x.header.Get("X-Forwarded-For"); given != "" {
		forwardedFor = given + ", " + x.realIP
	}
	prefix := ""
	if x.route.StripPath && x.match.path != "/" {
		prefix = x.match.path
	}
	headers := map[string]string{
		"Via":                withVia(x.header, x.protocolVersion()),
		"X-Forwarded-For":    forwardedFor,
		"X-Forwarded-Proto":  x.scheme(),
		"X-Forwarded-Host":   x.hostName(),
		"X-Forwarded-Port":   strconv.Itoa(x.port()),
		"X-Forwarded-Path":   x.rawPath(),
		"X-Forwarded-Prefix": prefix,
		"X-Real-Ip":          x.clientIP,
		"X-Kong-Request-Id":  x.id,
	}
	if x.gateway.trusts(x.realIP) {
		for _, name := range []string{"Proto", "Host", "Port", "Path", "Prefix"} {
			if given := x.header.Get("X-Forwarded-" + name); given != "" {
				headers["X-Forwarded-"+name] = given
			}
		}
	}
	return headers
}

// protocolVersion is that of the client's request, as the header Via has it.
func (x *exchange) protocolVersion() string {
	if x.r.ProtoMinor == 0 {
		return strconv.Itoa(x.r.ProtoMajor)
	}
	return fmt.Sprintf("%d.%d", x.r.ProtoMajor, x.r.ProtoMinor)
}

// copyResponseHeader puts the Service's header beside what plugins have added.
func (x *exchange) copyResponseHeader(dst http.Header, response *http.Response) {
	src := response.Header.Clone()
	dropHopByHop(src)
	for name, values := range x.response {
		dst[name] = slices.Clone(values)
	}
	for name, values := range src {
		if slices.Contains([]string{"Content-Type", "Content-Length", "Date"}, name) {
			dst[name] = values // there is only one of each
		} else {
			dst[name] = append(dst[name], values...)
		}
	}
	if response.ContentLength >= 0 && src.Get("Content-Length") == "" && x.r.Method != http.MethodHead &&
		response.StatusCode != http.StatusNoContent && response.StatusCode != http.StatusNotModified {
		dst.Set("Content-Length", strconv.FormatInt(response.ContentLength, 10))
	}
}

// addProxyHeaders adds Kong's own headers to the answer of a request that was proxied.
func (x *exchange) addProxyHeaders(header http.Header) {
	x.times.answered = cmp.Or(x.times.answered, time.Now())
	x.times.balancerEnded = cmp.Or(x.times.balancerEnded, time.Now())
	header.Set("X-Kong-Upstream-Latency", strconv.FormatInt(x.times.answered.Sub(x.times.balancerEnded).Milliseconds(), 10))
	header.Set("X-Kong-Proxy-Latency", strconv.FormatInt(x.times.balancerEnded.Sub(x.started).Milliseconds(), 10))
	protocol := "1.1"
	if x.upstreamScheme == "grpc" || x.upstreamScheme == "grpcs" {
		protocol = "2"
	}
	header.Set("Via", withVia(header, protocol))
	if header.Get("Server") == "" {
		header.Set("Server", serverTokens)
	}
}

// millis is the time since start, as headers give it.
func millis(start time.Time) string {
	return strconv.FormatInt(time.Since(start).Milliseconds(), 10)
}
