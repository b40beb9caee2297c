package status

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// guarded answers only who calls the server by an address, by localhost, by a name
// without a dot, as containers have, or by one of those names. Otherwise a page of some
// other site could have its own name lead here, and a browser that can reach the server
// would show it what is there (DNS rebinding).
func guarded(h http.Handler, names []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host := hostName(r.Host); !isLocal(host) && !slices.Contains(names, host) {
			w.Header().Set("Connection", "close")
			http.Error(w, fmt.Sprintf("the name %q is not known here: use an IP address, or start the server with -status-host %s", host, host), http.StatusMisdirectedRequest)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// hostName is the host of a Host header, in lower case and without a dot at its end.
func hostName(authority string) string {
	host, _, err := net.SplitHostPort(authority)
	if err != nil { // there is no port
		host = authority
	}
	return strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
}

// isLocal reports whether no site of somebody else can be called so.
func isLocal(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil || !strings.Contains(host, ".")
}
