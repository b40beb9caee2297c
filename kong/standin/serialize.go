package standin

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"kong-traffic-split/kong/declarative"
)

const defaultWorkspace = declarative.DefaultWorkspace

// serialize is kong.log.serialize: what log plugins write about a request.
func (x *exchange) serialize() ([]byte, error) {
	root := map[string]any{
		"tries":          x.serializeTries(),
		"client_ip":      x.clientIP,
		"started_at":     x.started.UnixMilli(),
		"workspace":      defaultWorkspace,
		"workspace_name": "default",
	}
	if x.stream != nil {
		maps.Copy(root, x.serializeStream())
	} else {
		maps.Copy(root, x.serializeHTTP())
	}
	if x.route != nil {
		root["route"] = withWorkspace(x.route.Row)
	}
	if table, ok := x.ctx[serviceKey]; ok {
		root["service"] = table
	} else if x.service != nil {
		root["service"] = withWorkspace(x.service.Row)
	}
	if x.consumer != nil {
		root["consumer"] = withWorkspace(x.consumer)
	}
	if x.credential != nil {
		root["authenticated_entity"] = map[string]any{"id": x.credential["id"]}
	}
	for _, v := range x.logged {
		if err := putLogged(root, v); err != nil {
			return nil, err
		}
	}
	return encodeLua(root)
}

// serializeHTTP has what only requests have.
func (x *exchange) serializeHTTP() map[string]any {
	source := "kong"
	if x.source() == "service" {
		source = "upstream"
	}
	return map[string]any{
		"request":         x.serializeRequest(),
		"response":        x.serializeResponse(),
		"latencies":       x.latencies(),
		"source":          source,
		"upstream_uri":    x.upstreamURI,
		"upstream_status": x.upstreamStatusText(),
	}
}

// serializeStream has what only streams have.
func (x *exchange) serializeStream() map[string]any {
	end := cmp.Or(x.times.finished, time.Now())
	session := map[string]any{"received": x.stream.received, "sent": x.sent, "status": x.status}
	if x.tls != nil {
		session["tls"] = x.serializeTLS()
	}
	if !x.stream.ssl {
		session["server_port"] = x.port()
	}
	return map[string]any{
		"session":  session,
		"upstream": map[string]any{"received": x.sent, "sent": x.stream.received},
		"latencies": map[string]any{
			"kong":    cmp.Or(x.times.balancerEnded, end).Sub(x.started).Milliseconds(),
			"session": end.Sub(x.started).Milliseconds(),
		},
	}
}

func (x *exchange) serializeTLS() map[string]any {
	return map[string]any{
		"version": strings.ReplaceAll(tls.VersionName(x.tls.Version), " ", "v"), // as nginx writes it
		"cipher":  tls.CipherSuiteName(x.tls.CipherSuite), "client_verify": "NONE",
	}
}

func withWorkspace(row map[string]any) map[string]any {
	out := maps.Clone(row)
	out["ws_id"] = defaultWorkspace
	return out
}

// putLogged sets the value at a key such as "a.b".
func putLogged(root map[string]any, v keyValue) error {
	node := root
	keys := strings.Split(v.key, ".")
	for _, key := range keys[:len(keys)-1] {
		inner, ok := node[key].(map[string]any)
		if !ok {
			if node[key] != nil {
				return raise("The key '%s' could not be used as a serialize value. Subkey '%s' is not a table. It's %s",
					v.key, key, luaString(node[key]))
			}
			inner = map[string]any{}
			node[key] = inner
		}
		node = inner
	}
	node[keys[len(keys)-1]] = v.value
	return nil
}

func (x *exchange) serializeRequest() map[string]any {
	headers := x.headerTable(maxArgs)
	for _, secret := range []string{"authorization", "proxy-authorization"} {
		if _, ok := headers[secret]; ok {
			headers[secret] = "REDACTED"
		}
	}
	request := map[string]any{
		"id": x.id, "method": x.r.Method, "uri": x.uri, "headers": headers,
		"querystring": parseArgs(x.args, maxArgs),
		"url":         x.scheme() + "://" + x.hostName() + ":" + strconv.Itoa(x.port()) + x.uri,
		"size":        x.requestSize(),
	}
	if x.tls != nil {
		request["tls"] = x.serializeTLS()
	}
	return request
}

// requestSize is an estimate: bytes are not counted as they arrive.
func (x *exchange) requestSize() int64 {
	return int64(len(x.requestLine()+"\r\n\r\nHost: \r\n"+x.r.Host)) + headerSize(x.r.Header) + max(x.r.ContentLength, 0)
}

func headerSize(header http.Header) (size int64) {
	for name, values := range header {
		for _, value := range values {
			size += int64(len(name + ": " + value + "\r\n"))
		}
	}
	return size
}

func (x *exchange) serializeResponse() map[string]any {
	return map[string]any{
		"status": x.status, "headers": lowerHeader(x.sentHeader, maxArgs), "size": x.sent + headerSize(x.sentHeader),
	}
}

func (x *exchange) latencies() map[string]any {
	end := cmp.Or(x.times.finished, time.Now())
	l := map[string]any{"request": end.Sub(x.started).Milliseconds(), "proxy": -1, "kong": end.Sub(x.started).Milliseconds(), "receive": 0}
	if x.proxied {
		sent, answered := cmp.Or(x.times.balancerEnded, end), cmp.Or(x.times.answered, end)
		l["kong"] = sent.Sub(x.started).Milliseconds()
		l["proxy"] = answered.Sub(sent).Milliseconds()
		l["receive"] = end.Sub(answered).Milliseconds()
	}
	return l
}

func (x *exchange) serializeTries() []any {
	tries := []any{}
	for _, t := range x.balancer.tries {
		entry := map[string]any{
			"ip": t.peer.ip, "port": t.peer.port,
			"balancer_start": t.started.UnixMilli(), "balancer_start_ns": t.started.UnixNano(),
			"balancer_latency":    t.ended.Sub(t.started).Milliseconds(),
			"balancer_latency_ns": t.ended.Sub(t.started).Nanoseconds(),
		}
		if t.state != "" {
			entry["state"], entry["code"] = t.state, t.code
		}
		tries = append(tries, entry)
	}
	return tries
}

func (x *exchange) upstreamStatusText() string {
	if x.upstreamStatus == 0 {
		return ""
	}
	return luaString(float64(x.upstreamStatus))
}

// encodeLua writes JSON as Lua's cjson does in log plugins, with \/ for /.
func encodeLua(value any) ([]byte, error) {
	line, err := encodeJSON(value)
	return bytes.ReplaceAll(line, []byte("/"), []byte(`\/`)), err
}

// encodeJSON writes JSON as it is in Kong's own answers.
func encodeJSON(value any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
