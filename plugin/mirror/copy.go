package mirror

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// A Body is that of a copy: in memory, or in a file. Its zero value is empty.
type Body struct {
	content []byte
	file    *os.File
	length  int64
}

// Content returns a body that is in memory.
func Content(b []byte) Body { return Body{content: b, length: int64(len(b))} }

// OpenBody opens a body that is in a file. The file may be removed then.
func OpenBody(path string) (Body, error) {
	f, err := os.Open(path)
	if err != nil {
		return Body{}, err
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return Body{}, err
	}
	return Body{file: f, length: info.Size()}, nil
}

func (b *Body) close() {
	if b.file != nil {
		_ = b.file.Close() // it was read only
	}
}

// reader returns what the body is read from; nil: it is empty.
func (b *Body) reader() io.ReadCloser {
	switch {
	case b.length == 0:
		return nil
	case b.file != nil:
		return io.NopCloser(io.NewSectionReader(b.file, 0, b.length)) // the file is closed by close alone
	}
	return io.NopCloser(bytes.NewReader(b.content))
}

// overhead is about what a copy takes beside its texts, in bytes.
const overhead = 512

// size is about what a copy takes of the memory, in bytes.
func (c *Copy) size() int {
	size := overhead + len(c.URI) + len(c.Host) + len(c.Body.content)
	for name, values := range c.Header {
		size += len(name)
		for _, value := range values {
			size += len(value) + 16
		}
	}
	return size
}

// isValid reports whether the copy can be sent: Kong takes more than Go's client for HTTP does,
// such as control characters in a header.
func (c *Copy) isValid() bool {
	isControl := func(r rune) bool { return r < ' ' || r == 0x7f }
	if !httpguts.ValidHeaderFieldName(c.Method) || !httpguts.ValidHostHeader(c.Host) || strings.ContainsFunc(c.URI, isControl) || !strings.HasPrefix(c.URI, "/") {
		return false
	}
	for name, values := range c.Header {
		isWrong := func(value string) bool { return !httpguts.ValidHeaderFieldValue(value) }
		if !httpguts.ValidHeaderFieldName(name) || slices.ContainsFunc(values, isWrong) {
			return false
		}
	}
	return true
}

// ofConnection are the headers that are of one connection, or that the transport makes; and
// Proxy, which Kong lets nobody have either, as CGI takes it for a setting of its own.
var ofConnection = map[string]bool{
	"connection": true, "keep-alive": true, "proxy": true, "proxy-connection": true, "proxy-authenticate": true, "proxy-authorization": true,
	"te": true, "trailer": true, "transfer-encoding": true, "upgrade": true, "expect": true, "content-length": true, "host": true,
}

// request returns the request that is sent.
func (c *Copy) request(ctx context.Context) *http.Request {
	header := http.Header{"User-Agent": {""}} // else there would be Go's, where the client has sent none
	for name, values := range c.Header {
		if !ofConnection[strings.ToLower(name)] {
			header[http.CanonicalHeaderKey(name)] = values
		}
	}
	header.Set(MarkHeader, Mark)
	r := &http.Request{
		Method: c.Method, URL: c.url(), Host: c.Host, Header: header,
		Body: c.Body.reader(), ContentLength: c.Body.length,
		ProtoMajor: 1, ProtoMinor: 1,
	}
	if r.Body != nil { // so that the transport takes another connection where the shadow has just closed one
		r.GetBody = func() (io.ReadCloser, error) { return c.Body.reader(), nil }
	}
	return r.WithContext(ctx)
}

// url returns the URL by which the transport sends the copy's URI as it is. Over TLS its host
// is the Host header, as that is the name that the handshake asks for.
func (c *Copy) url() *url.URL {
	u := &url.URL{Scheme: c.Target.Protocol, Host: c.Target.address()}
	if c.Target.Protocol == "https" && c.Host != "" {
		u.Host = c.Host
	}
	path, query, hasQuery := strings.Cut(c.URI, "?")
	u.RawQuery, u.ForceQuery = query, hasQuery
	if unescaped, err := url.PathUnescape(path); err == nil && strings.HasPrefix(path, "//") { // which would be a host in Opaque
		u.Path, u.RawPath = unescaped, path
	} else {
		u.Opaque = path
	}
	return u
}
