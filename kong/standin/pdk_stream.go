package standin

import (
	"fmt"
	"net"
	"slices"
	"strconv"
)

// streamMethods are those that differ where it is a stream.
var streamMethods = map[string]pdkMethod{
	"kong.response.exit":        {anyPhase, false, exitStream},
	"kong.nginx.req_start_time": {anyPhase, true, func(*exchange, []byte) ([]byte, error) { return nil, nil }},
	// In the log phase, Kong reads these from what it has kept of a request.
	"kong.request.get_header":   {phasesOfReading, true, noRequest},
	"kong.request.get_headers":  {phasesOfReading, true, noRequest},
	"kong.response.get_headers": {phasesAfterAnswer, true, noRequest},
}

func noRequest(*exchange, []byte) ([]byte, error) {
	return nil, raise("attempt to index field 'request_headers' (a nil value)")
}

// exitCodes are those with which a stream can end.
var exitCodes = []int{200, 400, 403, 500, 502, 503}

// exitStream ends the connection, and the exchange with the plugin server. A body
// is the client's only where the status is no error.
func exitStream(x *exchange, args []byte) ([]byte, error) {
	a, _, err := decodeExit(args)
	if err == nil && !slices.Contains(exitCodes, a.status) {
		err = raise("unacceptable code, only 200, 400, 403, 500, 502 and 503 are accepted")
	}
	if err != nil {
		return nil, err
	}
	if a.status >= 400 {
		x.kongLog(levelError, "response.lua:830", fmt.Sprintf("unable to proxy stream connection, status: %d, err: %s", a.status, a.body))
	}
	x.exited, x.delayed = true, a
	return nil, errYielded
}

// streamCtxValue is a value of ngx.ctx that is another for requests.
func (x *exchange) streamCtxValue(key string) any {
	if key == "host_port" && !x.stream.ssl {
		return float64(x.port())
	}
	return nil
}

// streamVariables are nginx's. Behind its layer that looks at TLS, the connection
// comes from nginx itself, by a Unix socket.
var streamVariables = map[string]func(x *exchange) string{
	"connection":  func(x *exchange) string { return strconv.FormatUint(x.conn.number, 10) },
	"protocol":    func(*exchange) string { return "TCP" },
	"remote_addr": func(x *exchange) string { return x.clientIP },
	"remote_port": func(x *exchange) string { return x.clientPort },
	"realip_remote_addr": func(x *exchange) string {
		if x.stream.ssl {
			return "unix:"
		}
		return x.realIP
	},
	"realip_remote_port": func(x *exchange) string {
		if x.stream.ssl {
			return ""
		}
		return x.realPort
	},
	"server_addr": func(x *exchange) string {
		if x.stream.ssl {
			return "unix:"
		}
		host, _, _ := net.SplitHostPort(x.conn.local)
		return host
	},
	"server_port": func(x *exchange) string {
		if x.stream.ssl {
			return ""
		}
		return strconv.Itoa(x.port())
	},
	"ssl_protocol": func(x *exchange) string {
		if x.tls == nil {
			return ""
		}
		return tlsVersion(x.tls.Version)
	},
	"ssl_server_name": func(x *exchange) string {
		if x.tls == nil {
			return ""
		}
		return x.stream.sni
	},
	"ssl_preread_server_name": func(x *exchange) string {
		if !x.stream.passthrough {
			return ""
		}
		return x.stream.sni
	},
	"upstream_host": func(x *exchange) string { return x.upstreamHost },
}
