package standin

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// serveProxy handles a request of a client.
func (g *Gateway) serveProxy(w http.ResponseWriter, r *http.Request) {
	conn, _ := r.Context().Value(clientConnKey{}).(*clientConn)
	gen, v := g.enter(conn, func(gen *generation) []*view { return gen.views })
	if v == nil {
		panic(http.ErrAbortHandler) // the gateway is closed
	}
	defer v.worker.requests.Done()
	x := newExchange(g, gen, v, conn, w, r)
	defer x.finish()
	switch {
	case r.Method == http.MethodTrace || r.Method == http.MethodConnect:
		x.send(x.unexpectedAnswer(http.StatusMethodNotAllowed))
		return
	case !isValidPath(x.rawPath()):
		x.send(x.unexpectedAnswer(http.StatusBadRequest))
		return
	}
	if a := x.runAccess(); a != nil {
		x.send(a)
		return
	}
	x.proxy()
}

// enter begins a request of a connection. It returns the present generation and
// the view of the connection's worker among those that viewsOf returns; nil where
// the gateway is closed. The request has to end with the worker's requests.Done.
func (g *Gateway) enter(conn *clientConn, viewsOf func(*generation) []*view) (*generation, *view) {
	for g.ending.Err() == nil {
		gen := g.current.Load()
		views := viewsOf(gen)
		v := views[conn.worker%len(views)]
		if v.worker.enter() {
			return gen, v
		}
		// Its workers have been replaced since.
	}
	return nil, nil
}

// runAccess does the access phase. It returns an answer where the request does
// not go to the Service.
func (x *exchange) runAccess() *answer {
	if a := x.routeRequest(); a != nil {
		return a
	}
	x.runPlugins(func(h *handler) phaseFunc { return h.access })
	if x.delayed != nil {
		return x.delayed
	}
	if !x.hasService() {
		return x.exitError(http.StatusServiceUnavailable, "no Service found with those values", nil)
	}
	return x.prepareUpstream()
}

// hasService reports whether the request may go anywhere: a plugin may have put a Service in
// the context of one whose route has none.
func (x *exchange) hasService() bool { return x.service != nil || x.ctx[serviceKey] != nil }

// runPlugins runs a phase of the plugins that have a row for the route, until one
// of them answers, and collects those that log or filter.
func (x *exchange) runPlugins(phase func(*handler) phaseFunc) {
	for _, h := range x.gen.handlers {
		row := x.view.rowFor(h.name, x.route.ID, serviceID(x), consumerID(x))
		if row == nil {
			continue
		}
		if h.log != nil || h.filter != nil {
			x.collected = append(x.collected, collected{h, row})
		}
		run := phase(h)
		if run == nil || x.delayed != nil {
			continue
		}
		x.plugin = h.name
		x.runError(run(x, row))
		x.plugin = ""
	}
}

// exitError is an answer of Kong's own code.
func (x *exchange) exitError(status int, message string, header http.Header) *answer {
	x.exited = true
	return x.errorAnswer(status, message, header)
}

func serviceID(x *exchange) string {
	if x.service == nil {
		return ""
	}
	return x.service.ID
}

func consumerID(x *exchange) string {
	id, _ := x.consumer["id"].(string)
	return id
}

// routeRequest finds the route, and sets what follows from it.
func (x *exchange) routeRequest() *answer {
	path := x.path()
	s := subject{path: path, method: x.r.Method, host: x.host, port: x.port(), header: x.header, query: x.args}
	if x.tls != nil {
		s.tls, s.sni = true, x.tls.ServerName
	}
	s.source, s.destination = x.ends()
	m, err := x.gen.router.find(s)
	if err == errNoList {
		x.luaLog(levelError, "handler.lua:", "failed to run access phase: "+err.Error())
		x.collectGlobal()
		return x.unexpectedAnswer(http.StatusInternalServerError)
	}
	if err != nil {
		x.luaLog(levelError, "atc.lua:479:", "exec(): router returned an error: "+err.Error()+
			", 404 Not Found will be returned for the current request")
	}
	if m == nil {
		x.collectGlobal()
		return x.exitError(http.StatusNotFound, "no Route matched with those values", nil)
	}
	x.match, x.route, x.service = m, m.route, m.service
	x.forwarded = x.forwardedHeaders()
	if a := x.checkProtocols(); a != nil {
		return a
	}
	servicePath := ""
	if x.service != nil {
		servicePath = x.service.Path
		x.upstreamScheme = x.service.Protocol
	}
	stripped := ""
	if x.route.StripPath {
		stripped = m.path
	}
	x.upstreamURI = escapePath(upstreamPath(servicePath, path, stripped, x.route.StripPath))
	if x.route.PreserveHost {
		x.upstreamHost = x.host
	}
	x.balancer.prepare(x.service)
	return nil
}

// ends are the addresses of the client and of the listener.
func (x *exchange) ends() (source, destination netip.AddrPort) {
	remote, _ := netip.ParseAddrPort(x.r.RemoteAddr)
	destination, _ = netip.ParseAddrPort(x.conn.local)
	client, _ := netip.ParseAddr(x.clientIP)
	return netip.AddrPortFrom(client.Unmap(), remote.Port()), netip.AddrPortFrom(destination.Addr().Unmap(), destination.Port())
}

// collectGlobal collects the plugins that log a request without a route.
func (x *exchange) collectGlobal() {
	for _, h := range x.gen.handlers {
		if row := x.view.rowFor(h.name, "", "", ""); row != nil && (h.log != nil || h.filter != nil) {
			x.collected = append(x.collected, collected{h, row})
		}
	}
}

// checkProtocols refuses a request that is not of the route's protocols.
func (x *exchange) checkProtocols() *answer {
	has := func(protocol string) bool { return slices.Contains(x.route.Protocols, protocol) }
	forwardedProto := x.scheme()
	if proto := x.header.Get("X-Forwarded-Proto"); proto != "" && x.gateway.trusts(x.realIP) {
		forwardedProto = proto
	}
	if has("https") && !has("http") && forwardedProto != "https" {
		return x.redirectToHTTPS()
	}
	if !has("grpc") && !has("grpcs") {
		return nil
	}
	if !strings.HasPrefix(x.header.Get("Content-Type"), "application/grpc") {
		return x.exitError(http.StatusUnsupportedMediaType, "Non-gRPC request matched gRPC route", nil)
	}
	if x.r.ProtoMajor != 2 {
		return x.exitError(http.StatusUpgradeRequired, "Please use HTTP2 protocol",
			http.Header{"Connection": {"Upgrade"}, "Upgrade": {"HTTP/2"}})
	}
	if !has("grpc") && forwardedProto != "https" {
		x.exited = true
		return &answer{status: http.StatusOK, header: http.Header{
			"Content-Type": {typeGRPC}, "Grpc-Status": {"1"}, "Grpc-Message": {"gRPC request matched gRPCs route"},
		}}
	}
	return nil
}

func (x *exchange) redirectToHTTPS() *answer {
	status := x.route.HTTPSRedirectStatusCode
	if status == http.StatusUpgradeRequired {
		return x.exitError(status, "Please use HTTPS protocol",
			http.Header{"Connection": {"Upgrade"}, "Upgrade": {"TLS/1.2, HTTP/1.1"}})
	}
	x.exited = true
	return &answer{status: status, header: http.Header{
		"Location": {"https://" + x.hostName() + x.uri},
	}}
}
