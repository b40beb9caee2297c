package standin

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"kong-traffic-split/kong/declarative"
)

// phase is the phase of Kong that a request is in.
type phase int

const (
	phaseAccess phase = iota
	phasePreread
	phaseLog
)

func (p phase) String() string { return [...]string{"access", "preread", "log"}[p] }

// An exchange is one request and its answer, or one stream, with what Kong keeps
// in ngx.ctx and in nginx's variables. One goroutine at a time has it.
type exchange struct {
	gateway *Gateway
	gen     *generation
	view    *view
	conn    *clientConn
	tls     *tls.ConnectionState // nil: none that was terminated here
	stream  *stream              // nil: it is a request
	w       http.ResponseWriter
	r       *http.Request
	id      string // $kong_request_id
	uri     string // $request_uri, with the query
	started time.Time
	phase   phase

	// The request, as plugins may have changed it.
	host   string // the Host header
	header http.Header
	args   string // what follows the ?

	body     []byte   // nil: nobody has asked for it yet
	bodyFile bodyFile // in which it is; empty: none

	realIP, clientIP string // of the connection, and of who is behind a trusted proxy

	match      *match
	route      *declarative.Route
	service    *declarative.Service
	consumer   map[string]any
	credential map[string]any
	shared     map[string]any // kong.ctx.shared
	ctx        map[string]any // what plugins set with kong.nginx.set_ctx
	logged     []keyValue     // set_serialize_value
	collected  []collected
	plugin     string // whose phase runs

	upstreamScheme, upstreamHost, upstreamURI string            // nginx's variables
	forwarded                                 map[string]string // headers for the Service
	balancer                                  balancing

	response http.Header // what plugins add to the answer
	delayed  *answer     // by which a plugin answers instead of the Service
	held     []io.Closer // until the end

	exited, unexpected, proxied bool // Kong's KONG_EXITED, …
	status                      int
	upstreamStatus              int
	times                       times
	sent                        int64
	sentHeader                  http.Header // of the answer, once it is sent
}

// times are points of a request, for the latencies.
type times struct {
	addressSought, balancerEnded, answered, finished time.Time
}

// collected is a plugin whose later phases are to run for a request.
type collected struct {
	plugin *handler
	row    *pluginRow
}

func newExchange(g *Gateway, gen *generation, v *view, conn *clientConn, w http.ResponseWriter, r *http.Request) *exchange {
	x := &exchange{
		gateway: g, gen: gen, view: v, conn: conn, tls: r.TLS,
		w: w, r: r, id: newRequestID(), uri: requestURI(r), started: time.Now(),
		host: r.Host, header: r.Header.Clone(),
		shared: map[string]any{}, ctx: map[string]any{},
		response: http.Header{}, balancer: balancing{retries: 5},
	}
	if encodings := r.TransferEncoding; len(encodings) > 0 { // which Go's server has taken out
		x.header["Transfer-Encoding"] = encodings
	}
	_, x.args, _ = strings.Cut(x.uri, "?")
	x.setAddresses()
	return x
}

// requestURI is the request's path and query, also where its line has a whole
// URL.
func requestURI(r *http.Request) string {
	if strings.HasPrefix(r.RequestURI, "/") {
		return r.RequestURI
	}
	return r.URL.RequestURI()
}

func newRequestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}

// setAddresses finds out who the client is, behind a trusted proxy too.
func (x *exchange) setAddresses() {
	x.realIP, _, _ = net.SplitHostPort(x.r.RemoteAddr)
	x.clientIP = x.realIP
	if !x.gateway.trusts(x.realIP) {
		return
	}
	claims := strings.Split(strings.Join(x.r.Header.Values(x.gateway.RealIPHeader), ","), ",")
	claim := strings.TrimSpace(claims[len(claims)-1])
	if ap, err := netip.ParseAddrPort(claim); err == nil {
		x.clientIP = ap.Addr().String()
	} else if a, err := netip.ParseAddr(claim); err == nil {
		x.clientIP = a.String()
	}
}

// trusts reports whether an address is one of Options.TrustedIPs.
func (g *Gateway) trusts(ip string) bool {
	address, err := netip.ParseAddr(ip)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(g.trusted, func(prefix netip.Prefix) bool { return prefix.Contains(address.Unmap()) })
}

// hold keeps a connection open until the end of the request.
func (x *exchange) hold(c io.Closer) { x.held = append(x.held, c) }

func (x *exchange) releaseHeld() {
	for _, c := range x.held {
		_ = c.Close()
	}
	x.held = nil
}

// context ends when nobody waits for the exchange any more. Whether the client of a
// stream has gone is known only once it is proxied.
func (x *exchange) context() context.Context {
	if x.stream != nil {
		return x.gateway.ending
	}
	return x.r.Context()
}

// abandoned reports whether nobody waits for the end of the phase any more. The
// log phase is waited for until the gateway ends.
func (x *exchange) abandoned() bool {
	return x.phase != phaseLog && x.context().Err() != nil || x.gateway.ending.Err() != nil
}

// views are those of all workers of the subsystem.
func (x *exchange) views() []*view {
	if x.stream != nil {
		return x.gen.streamViews
	}
	return x.gen.views
}

// rawPath is the path as it stands in the request.
func (x *exchange) rawPath() string {
	path, _, _ := strings.Cut(x.uri, "?")
	return path
}

// path is the normalised path.
func (x *exchange) path() string { return declarative.NormalizePath(x.rawPath()) }

// scheme is that of the client.
func (x *exchange) scheme() string {
	if x.tls != nil {
		return "https"
	}
	return "http"
}

// port is that of the listener.
func (x *exchange) port() int {
	_, port, _ := net.SplitHostPort(x.conn.local)
	n, _ := strconv.Atoi(port) // a listener has one
	return n
}

// hostName is nginx's $host: the request's, lower case and without a port.
func (x *exchange) hostName() string {
	host := x.host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
		if strings.Contains(name, ":") {
			host = "[" + name + "]"
		}
	}
	return strings.ToLower(host)
}

// isGRPC reports whether it is a request of gRPC.
func (x *exchange) isGRPC() bool {
	return x.r.ProtoMajor == 2 && strings.HasPrefix(x.header.Get("Content-Type"), "application/grpc")
}

// hasQuery reports whether the Service gets a ?, even with nothing behind it.
func (x *exchange) hasQuery() bool {
	return x.args != "" || strings.HasSuffix(x.uri, "?")
}

// kongLog writes what Kong's code logs while a plugin's phase runs.
func (x *exchange) kongLog(lv level, source, message string) {
	name := ""
	if x.plugin != "" {
		name = "[" + x.plugin + "] "
	}
	x.gateway.log.print(lv, x.conn.number, "[kong] "+source+" "+name+message, x.logContext())
}

// luaLog writes what Kong's code logs by ngx.log.
func (x *exchange) luaLog(lv level, source, message string) {
	x.gateway.log.print(lv, x.conn.number, "[lua] "+source+" "+message, x.logContext())
}

// logContext is what nginx appends to a line of the error log.
func (x *exchange) logContext() string { return x.lineContext("") }

// lineContext is the same with what is said of the upstream.
func (x *exchange) lineContext(upstream string) string {
	if x.phase == phaseLog {
		return ", context: ngx.timer, client: " + x.clientIP + ", server: " + x.conn.local
	}
	if x.stream != nil {
		return ", client: " + x.clientIP + ", server: " + x.conn.local + upstream
	}
	return ", client: " + x.clientIP + `, server: kong, request: "` + x.requestLine() + `"` + upstream + `, host: "` + x.r.Host +
		`", request_id: "` + x.id + `"`
}

func (x *exchange) requestLine() string {
	return x.r.Method + " " + x.r.RequestURI + " " + x.r.Proto
}

// runError logs an error that a plugin's phase has raised, and answers the
// client with 500.
func (x *exchange) runError(err error) {
	if err == nil || errors.Is(err, errAnswered) {
		return
	}
	x.kongLog(levelError, "init.lua:406", err.Error())
	x.unexpected = true
	if x.stream != nil {
		x.delayed = &answer{status: http.StatusInternalServerError}
		return
	}
	x.delayed = x.errorAnswer(http.StatusInternalServerError, "An unexpected error occurred", nil)
}
