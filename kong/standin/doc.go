// Package standin is a stand-in for a Kong Gateway 3.9 node without a database.
// It behaves towards clients, backends, the Admin API's users and above all the
// plugin server as Kong does in the part that this project uses, so that the
// plugin can be tried and tested without Kong. It is no gateway for production.
// What belongs here is what the plugin, the demo or a scenario meets of Kong, as a
// running Kong was seen to do it; all else is left out and listed below.
//
// A connection comes in by listen.go. A request then goes through request.go, which
// finds its route by router.go and runs the plugins of handler.go, to proxy.go; a
// TCP connection goes through stream.go. A plugin server's phase is an event of
// instances.go, sent by rpc.go, and what the plugin calls meanwhile is in pdk.go. All
// of that is one exchange, of exchange.go. What follows from a configuration is a
// generation.
//
// Of Kong's PDK it answers the calls that the plugin makes, those of
// wire.Methods. Another one ends the exchange, as Kong does with a method that it
// does not know.
//
// What it does: services, routes, upstreams, consumers and plugins from a
// declarative file, routed as by Kong's flavors traditional_compatible and expressions
// (router_flavor); HTTP/1.1, HTTP/2, WebSocket and gRPC; TCP connections
// (stream_listen), with TLS that ends here or is passed through; plugin servers
// over a Unix socket (ProtoBuf:1), with one instance for each simulated worker,
// subsystem and plugin row, in the phases access, preread and log; the bundled
// plugins key-auth, request-termination, redirect, request-transformer,
// response-transformer and file-log, and of post-function the functions that splitctl
// companion writes; the Admin API's GET / and
// /status, GET and POST /config, schemas and POST /schemas/ENTITY/validate, and lists
// of entities to read, with pages and tags: what decK's ping, dump, diff and validate ask.
//
// What is not named in this comment is not there. In particular, it does not
//   - answer calls of the PDK that the plugin does not make, or know nginx's variables and Kong's values of ngx.ctx that it does not ask for;
//   - run Kong's other plugins, plugins in Lua, JavaScript, Python or WebAssembly, or request-termination's echo;
//   - transform bodies, queries or methods, or render templates (request-transformer, response-transformer);
//   - run the phases certificate, rewrite and response of a plugin server's plugin;
//   - proxy UDP (stream_listen);
//   - know certificates, SNIs, vaults other than env, consumer groups or workspaces;
//   - have the router's flavor traditional, or regular expressions other than Go's, which differ from Kong's in rare things;
//   - verify the certificates of backends, whatever a Service says, or present one of its own;
//   - check the health of targets, or balance other than by weighted round-robin;
//   - use DNS beyond the system's resolver and one dns_resolver: no SRV records, no cache of its own;
//   - buffer bodies: a request whose body was sent in part is not tried again;
//   - keep the case or the order of headers, or pass on trailers other than gRPC's;
//   - send a Host that is no host name: the Service gets an empty one;
//   - use error pages that it is given, or more than one certificate, or have error pages in HTML or XML: they are JSON, or plain text;
//   - leave out or add Kong's headers as its configuration asks;
//   - write an access log, or other files below the prefix;
//   - keep its simulated workers apart as nginx does: they are one process;
//   - speak to a control plane (hybrid mode) or a database, or understand the PROXY protocol.
package standin

import (
	_ "embed"
	"strings"
)

//go:embed doc.go
var source string

// Limits are what the stand-in does not do, as the package's comment lists it.
var Limits = limits(source)

func limits(source string) string {
	comment, _, _ := strings.Cut(source, "\npackage ")
	_, list, _ := strings.Cut(comment, "In particular, it does not\n")
	return "It does not\n" + strings.ReplaceAll(list, "//   - ", "  - ")
}
