package plugin

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"golang.org/x/net/http/httpguts"
	"google.golang.org/protobuf/types/known/emptypb"

	"kong-traffic-split/plugin/mirror"
)

// original is a request of which copies are made: as the client has sent it and plugins in
// front have changed it, and for the Service.
type original struct {
	service            service
	method, uri, query string
	header             map[string][]string // names are lower case; without those of the client's connection
	http1              bool                // it came by HTTP/1, where a request without a length has no body
	length             int64               // of the body, as the request says; -1: it does not
	body               *kong_plugin_protocol.RawBodyResult
	compared           *comparison // nil: nothing is compared
	bar                mirror.Drop // why no shadow gets a copy of it; empty: that is up to the shadow
}

var (
	getAllHeaders = messageCall("kong.request.get_headers", &kong_plugin_protocol.Int{V: mostHeaders})
	getMethod     = call{Method: "kong.request.get_method"}
	getQuery      = call{Method: "kong.request.get_raw_query"}
	getProtocol   = textCall("kong.nginx.get_var", "server_protocol")
	getBody       = call{Method: "kong.request.get_raw_body"}
)

// forwarded are the headers by which Kong says who the client was, with the calls that ask
// for them.
var forwarded = [...]struct {
	header string
	call   call
}{
	{"x-real-ip", textCall("kong.nginx.get_var", "remote_addr")},
	{"x-forwarded-for", textCall("kong.nginx.get_var", "upstream_x_forwarded_for")},
	{"x-forwarded-proto", textCall("kong.nginx.get_var", "upstream_x_forwarded_proto")},
	{"x-forwarded-host", textCall("kong.nginx.get_var", "upstream_x_forwarded_host")},
	{"x-forwarded-port", textCall("kong.nginx.get_var", "upstream_x_forwarded_port")},
	{"x-forwarded-path", textCall("kong.nginx.get_var", "upstream_x_forwarded_path")},
	{"x-forwarded-prefix", textCall("kong.nginx.get_var", "upstream_x_forwarded_prefix")},
}

// copyReads are the calls that askOriginal makes, but for those that are among reads.
func copyReads(reads []call) []call {
	all := []call{getAllHeaders, getMethod, getURI, getQuery, getProtocol}
	for _, f := range forwarded {
		all = append(all, f.call)
	}
	return slices.DeleteFunc(all, func(c call) bool {
		return slices.ContainsFunc(reads, func(r call) bool { return r.Method == c.Method && string(r.Args) == string(c.Args) })
	})
}

// askOriginal asks Kong for the request, but for its body.
func (r *request) askOriginal() (*original, error) {
	var table emptypb.Empty // whose strings may have any bytes
	if err := ask(r.kong, getAllHeaders, &table); err != nil {
		return nil, fmt.Errorf("asking Kong for the headers to copy: %w", err)
	}
	o, count := &original{header: map[string][]string{}}, 0
	eachHeader(table.ProtoReflect().GetUnknown(), func(name string, values []string) {
		o.header[name] = values
		count += len(values)
	})
	if cookies := o.header[cookieHeader]; len(cookies) > 1 { // as HTTP/2 sends them
		o.header[cookieHeader] = []string{strings.Join(cookies, "; ")}
	}
	protocol := ""
	for _, t := range []struct {
		call call
		to   *string
	}{{getMethod, &o.method}, {getURI, &o.uri}, {getQuery, &o.query}, {getProtocol, &protocol}} {
		text, err := r.askText(t.call)
		if err != nil {
			return nil, fmt.Errorf("asking Kong for a request to copy: %s: %w", t.call.Method, err)
		}
		*t.to = text
	}
	o.http1 = strings.HasPrefix(protocol, "HTTP/1")
	o.length = o.bodyLength()
	o.bar = o.bars(count)
	o.leaveConnection()
	for _, f := range forwarded {
		text, err := r.askText(f.call)
		if err != nil {
			return nil, fmt.Errorf("asking Kong for %s to copy: %w", f.header, err)
		}
		if delete(o.header, f.header); text != "" {
			o.header[f.header] = []string{text}
		}
	}
	return o, nil
}

// bodyLength returns how long the body is; -1: the request does not say. HTTP/2 has no sign of
// a body but the body itself; methods that have one as a rule say its length, if they do.
func (o *original) bodyLength() int64 {
	if values := o.header["content-length"]; len(values) > 0 {
		n, err := strconv.ParseInt(values[0], 10, 64)
		if err != nil || n < 0 {
			return -1
		}
		return n
	}
	if o.header["transfer-encoding"] != nil || !o.http1 && !slices.Contains([]string{"GET", "HEAD", "OPTIONS"}, o.method) {
		return -1
	}
	return 0
}

// bars returns why no shadow gets a copy, of what Kong has told of so many headers.
func (o *original) bars(headers int) mirror.Drop {
	first := func(name string) string {
		if values := o.header[name]; len(values) > 0 {
			return strings.ToLower(values[0])
		}
		return ""
	}
	switch {
	case httpguts.HeaderValuesContainsToken(o.header[strings.ToLower(mirror.MarkHeader)], mirror.Mark):
		return isCopy
	case headers >= mostHeaders: // the mark may be among those that Kong does not tell
		return tooManyHeaders
	case strings.HasPrefix(first("content-type"), "application/grpc"):
		return isGRPC
	case first("upgrade") == "websocket":
		return isWebSocket
	case o.length < 0:
		return bodyUnbounded
	}
	return ""
}

// leaveConnection takes out the headers that the client says to be of its connection, as Kong
// does, but before others are set: no client can take out those.
func (o *original) leaveConnection() {
	for _, name := range strings.Split(strings.Join(o.header["connection"], ","), ",") {
		if name = strings.ToLower(strings.TrimSpace(name)); name != "host" {
			delete(o.header, name)
		}
	}
}

// setBody gives a copy the body. Kong is asked for it once, and has it all by then: so it is
// only where the route has Kong wait for all of it anyway.
func (r *request) setBody(c *mirror.Copy, o *original) (drop mirror.Drop, reason, err error) {
	if o.body == nil {
		rt, err := r.askRoute()
		if err != nil {
			return "", nil, err
		}
		if buffers, known := rt.fields["request_buffering"]; known && !buffers.GetBoolValue() {
			return bodyUnbuffered, nil, nil
		}
		o.body = new(kong_plugin_protocol.RawBodyResult)
		if err := ask(r.kong, getBody, o.body); err != nil {
			o.body = nil
			return "", nil, fmt.Errorf("asking Kong for a body to copy: %w", err)
		}
	}
	switch body := o.body.Kind.(type) {
	case *kong_plugin_protocol.RawBodyResult_BodyFilepath:
		if c.Body, err = mirror.OpenBody(body.BodyFilepath); err != nil {
			return bodyUnreadable, err, nil
		}
	case *kong_plugin_protocol.RawBodyResult_Error:
		return bodyUnreadable, errors.New(body.Error), nil
	default:
		c.Body = mirror.Content(o.body.GetContent())
	}
	return "", nil, nil
}
