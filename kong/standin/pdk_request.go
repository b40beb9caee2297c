package standin

import (
	"cmp"
	"net/http"
	"strings"
	"time"

	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"
)

// What plugins read of a request: kong.request, kong.client and nginx's variables.

func (x *exchange) forwardedScheme() string {
	if x.gateway.trusts(x.realIP) {
		return strings.ToLower(cmp.Or(x.header.Get("X-Forwarded-Proto"), x.scheme()))
	}
	return x.scheme()
}

// getHeader is the first value.
func getHeader(x *exchange, name string) (any, error) {
	if strings.EqualFold(name, "host") {
		return x.host, nil
	}
	return x.header.Get(name), nil
}

func getHeaders(x *exchange, most int) (any, error) {
	switch {
	case x.phase == phaseLog: // Kong has kept them and does not look at the limit
		most = maxArgs
	case most < 1:
		return nil, raise("max_headers must be >= 1")
	case most > 1000:
		return nil, raise("max_headers must be <= 1000")
	}
	return x.headerTable(most), nil
}

// noRequest is Kong's error where it looks for the headers of a TCP connection.
func noRequest(*exchange, none) (any, error) {
	return nil, raise("attempt to index field 'request_headers' (a nil value)")
}

// headerTable is the request's header as Lua has it: names are lower case, and
// several values a list.
func (x *exchange) headerTable(most int) map[string]any {
	all := lowerHeader(x.header, most-1)
	if x.host != "" {
		all["host"] = x.host
	}
	return all
}

func lowerHeader(header http.Header, most int) map[string]any {
	all := map[string]any{}
	for name, values := range header {
		for _, value := range values {
			if most == 0 {
				return all
			}
			most--
			addValue(all, strings.ToLower(name), value)
		}
	}
	return all
}

func getURICaptures(x *exchange, _ none) (any, error) {
	if x.match == nil || x.match.captures == nil {
		return nil, nil
	}
	var out []byte
	for _, group := range x.match.captures.unnamed {
		out = appendBytes(out, 1, []byte(group))
	}
	for name, group := range x.match.captures.named {
		out = appendBytes(out, 2, appendText(appendText(nil, 1, name), 2, group))
	}
	return out, nil
}

// getConsumer is the consumer that another plugin has authenticated, or empty.
func getConsumer(x *exchange, _ none) (any, error) {
	row := x.consumer
	message := &pb.Consumer{}
	message.Id, _ = row["id"].(string)
	message.Username, _ = row["username"].(string)
	message.CustomId, _ = row["custom_id"].(string)
	created, _ := row["created_at"].(float64)
	message.CreatedAt = int64(created)
	tags, _ := row["tags"].([]any)
	for _, tag := range tags {
		message.Tags = append(message.Tags, luaString(tag))
	}
	return proto.Marshal(message)
}

// getCredential is what the consumer was authenticated by, or empty. Of an anonymous one
// there is none.
func getCredential(x *exchange, _ none) (any, error) {
	message := &pb.AuthenticatedCredential{}
	message.Id, _ = x.credential["id"].(string) // of its consumer there is a record, not the id
	return proto.Marshal(message)
}

// getVar is a variable of nginx. Of its many there are the path that the Service gets, the
// client's headers, and what is known of the client; another is an error, so that nobody takes
// it for an empty one.
func getVar(x *exchange, name string) (any, error) {
	name = strings.ToLower(name)
	header, isHeader := strings.CutPrefix(name, "http_")
	switch {
	case name == "upstream_uri":
		return x.upstreamURI, nil
	case name == "server_protocol":
		return x.r.Proto, nil
	case name == "remote_addr":
		return x.clientIP, nil
	case strings.HasPrefix(name, "upstream_x_forwarded_"):
		header := strings.ReplaceAll(strings.TrimPrefix(name, "upstream_"), "_", "-")
		if value, known := x.forwarded[http.CanonicalHeaderKey(header)]; known {
			return value, nil
		}
	case isHeader:
		return x.headerVariable(strings.ReplaceAll(header, "_", "-")), nil
	}
	return nil, raise("the stand-in does not know nginx's variable %s", name)
}

// headerVariable is a header with all its values; empty on a TCP connection.
func (x *exchange) headerVariable(name string) string {
	separator := ", "
	switch name {
	case "host":
		return x.host
	case "cookie":
		separator = "; "
	}
	return strings.Join(x.header.Values(name), separator)
}

// What plugins share during a request: kong.ctx.shared, kong.nginx and kong.log.

func getShared(x *exchange, key string) (any, error) { return luaValue{x.shared[key]}, nil }

func setShared(x *exchange, v keyValue) (any, error) {
	x.shared[v.key] = v.value
	return nil, nil
}

// getCtx is a value of ngx.ctx. Of Kong's own it has those that a plugin has use for.
func getCtx(x *exchange, key string) (any, error) {
	if value, ok := x.ctx[key]; ok {
		return luaValue{value}, nil
	}
	var value any
	switch key {
	case "route":
		if x.route != nil {
			value = x.route.Row
		}
	case serviceKey:
		if x.service != nil {
			value = x.service.Row
		}
	case balancerKey:
		value = x.balancerData()
	case "KONG_PROXIED": // it was to be; that may have failed
		if x.proxied {
			value = true
		}
	case "KONG_WAITING_TIME": // of the last try
		if t := &x.times; x.proxied && !t.balancerEnded.IsZero() {
			value = float64(cmp.Or(t.answered, t.finished, time.Now()).UnixMilli() - t.balancerEnded.UnixMilli())
		}
	case "KONG_UPSTREAM_DNS_START": // of the last try; not where the host is an address
		if t := x.times.addressSought; !t.IsZero() {
			value = float64(t.UnixMilli())
		}
	}
	return luaValue{value}, nil
}

func setCtx(x *exchange, v keyValue) (any, error) {
	if v.key == balancerKey {
		return nil, x.setBalancerData(v.value)
	}
	x.ctx[v.key] = v.value
	return nil, nil
}

func setSerializeValue(x *exchange, v keyValue) (any, error) {
	x.logged = append(x.logged, v)
	return nil, nil
}

// logs joins its arguments without anything between them. Kong does not
// name the plugin in front of what an external one logs, in no phase.
func logs(lv level) func(*exchange, []any) (any, error) {
	return func(x *exchange, values []any) (any, error) {
		line := ""
		for _, value := range values {
			line += luaString(value)
		}
		x.gateway.log.print(lv, x.conn.number, "[kong] pb_rpc.lua:233 "+line, x.logContext())
		return nil, nil
	}
}
