package plugin_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	pdk "github.com/Kong/go-pdk"
	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"pgregory.net/rapid"

	"kong-traffic-split/kong/wire"
	"kong-traffic-split/plugin"
)

// kong answers one request's PDK calls as Kong does and records those that change
// something, in words.
type kong struct {
	route     map[string]any
	service   map[string]any
	host      string // the client's Host header
	uri       string // upstream_uri
	upstreams []string

	text     map[string]string // what the methods that return a text return
	headers  map[string]string // of the client, by name
	junk     int               // so many headers besides
	vars     map[string]string // of nginx, besides upstream_uri and cookies
	body     *kong_plugin_protocol.RawBodyResult
	captures map[string]string
	consumer *kong_plugin_protocol.Consumer
	shared   map[string]string
	ctx      map[string]*structpb.Value // besides route and service
	status   int32
	phase    string // that runs

	asked, told []string
}

// access runs the access phase of i and returns its error.
func (k *kong) access(t rapid.TB, i *plugin.Instance) error {
	t.Helper()
	return k.run(t, "access", i)
}

// run runs a phase of i and returns its error.
func (k *kong) run(t rapid.TB, phase string, i *plugin.Instance) error {
	t.Helper()
	k.phase = phase
	ours, theirs := net.Pipe()
	done := make(chan error, 1)
	go func() { done <- k.serve(theirs) }()
	err := i.Handle(phase, time.Now(), pdk.Init(ours))
	ours.Close()
	if err := <-done; err != nil {
		t.Fatalf("the exchange with Kong: %v", err)
	}
	return err
}

func (k *kong) serve(conn net.Conn) error {
	defer conn.Close()
	for {
		method, err := wire.ReadFrame(conn, nil)
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		args, err := wire.ReadFrame(conn, nil)
		if err != nil {
			return fmt.Errorf("arguments of %s: %w", method, err)
		}
		reply, err := k.answer(string(method), args)
		if err != nil {
			return fmt.Errorf("%s: %w", method, err)
		}
		if _, err := conn.Write(wire.AppendFrame(nil, reply)); err != nil {
			return err
		}
	}
}

func (k *kong) answer(method string, args []byte) ([]byte, error) {
	name := strings.TrimPrefix(method, "kong.")
	if k.phase == "preread" && !inPreread[name] {
		return nil, fmt.Errorf("Kong raises an error where it is asked in preread")
	}
	var text string
	if _, _, tag := protowire.ConsumeTag(args); tag > 0 {
		raw, _ := protowire.ConsumeBytes(args[tag:])
		text = string(raw)
	}
	switch name {
	case "nginx.get_ctx":
		k.asked = append(k.asked, text)
		if v := k.ctx[text]; v != nil {
			return proto.Marshal(v)
		}
		if text != "route" && text != "service" {
			return proto.Marshal(structpb.NewNullValue())
		}
		s, err := structpb.NewStruct(map[string]map[string]any{"route": k.route, "service": k.service}[text])
		if err != nil {
			return nil, err
		}
		return proto.Marshal(structpb.NewStructValue(s))
	case "nginx.get_var":
		k.asked = append(k.asked, text)
		if value, ok := k.vars[text]; ok {
			return stringReply(value), nil
		}
		return stringReply(map[string]string{"upstream_uri": k.uri, "http_cookie": k.text["cookies"]}[text]), nil
	case "request.get_raw_body":
		k.asked = append(k.asked, name)
		return proto.Marshal(k.body)
	case "request.get_header":
		k.asked = append(k.asked, "header "+text)
		if text == "host" {
			return stringReply(k.host), nil
		}
		return stringReply(k.header(text)), nil
	case "response.get_header":
		k.asked = append(k.asked, "response header "+text)
		return stringReply(k.text[name+" "+text]), nil
	case "request.get_headers":
		k.asked = append(k.asked, name)
		return k.allHeaders(), nil
	case "request.get_method", "request.get_path", "request.get_raw_query", "request.get_forwarded_scheme",
		"client.get_forwarded_ip", "response.get_source":
		k.asked = append(k.asked, name)
		return stringReply(k.text[name]), nil
	case "request.get_uri_captures":
		k.asked = append(k.asked, name)
		captures := &kong_plugin_protocol.UriCapturesResult{Named: map[string][]byte{}}
		for name, value := range k.captures {
			captures.Named[name] = []byte(value)
		}
		return proto.Marshal(captures)
	case "client.get_consumer":
		k.asked = append(k.asked, name)
		if raw, ok := k.text[name]; ok { // what proto does not encode
			return []byte(raw), nil
		}
		return proto.Marshal(k.consumer)
	case "client.get_credential":
		k.asked = append(k.asked, name)
		return stringReply(k.text[name]), nil
	case "response.get_status":
		k.asked = append(k.asked, name)
		return proto.Marshal(&kong_plugin_protocol.Int{V: k.status})
	case "ctx.shared.get":
		k.asked = append(k.asked, text)
		if mark, ok := k.shared[text]; ok {
			return proto.Marshal(structpb.NewStringValue(mark))
		}
		return nil, nil
	case "ctx.shared.set":
		key, value, err := decodeKV(args)
		if k.shared == nil {
			k.shared = map[string]string{}
		}
		k.shared[key] = value
		k.tell(name, key+"="+value)
		return nil, err
	case "log.warn", "log.err":
		var list structpb.ListValue
		err := proto.Unmarshal(args, &list)
		for _, v := range list.Values {
			k.tell(name, v.GetStringValue())
		}
		return nil, err
	case "response.exit":
		var exit kong_plugin_protocol.ExitArgs
		err := proto.Unmarshal(args, &exit)
		k.tell(name, fmt.Sprintf("%d %v %q", exit.Status, exit.Headers.AsMap(), exit.Body))
		return nil, err
	case "service.set_upstream":
		k.tell(name, text)
		return proto.Marshal(&kong_plugin_protocol.Bool{V: slices.Contains(k.upstreams, text)})
	case "service.request.set_scheme", "service.request.set_path":
		k.tell(name, text)
		return nil, nil
	case "service.set_target":
		var to kong_plugin_protocol.Target
		err := proto.Unmarshal(args, &to)
		k.tell(name, fmt.Sprintf("%s %d", to.Host, to.Port))
		return nil, err
	case "service.request.set_headers":
		var headers structpb.Struct
		if !utf8.Valid(args) { // to look at which this decodes too strictly
			k.tell(name, string(args))
			return nil, nil
		}
		err := proto.Unmarshal(args, &headers)
		for _, name := range slices.Sorted(maps.Keys(headers.AsMap())) {
			k.tell("service.request.set_headers", fmt.Sprintf("%s=%v", name, headers.AsMap()[name]))
		}
		return nil, err
	case "service.request.set_header", "service.request.add_header", "nginx.set_ctx", "response.add_header", "response.set_header", "log.set_serialize_value":
		header, value, err := decodeKV(args)
		k.tell(name, header+"="+value)
		return nil, err
	default:
		return nil, fmt.Errorf("the stand-in for Kong in this test does not know it")
	}
}

// inPreread are the methods that Kong has for TCP and TLS connections, as far as
// they are used.
var inPreread = map[string]bool{
	"nginx.get_ctx": true, "nginx.set_ctx": true, "client.get_forwarded_ip": true, "service.set_target": true, "log.err": true,
}

// header is what get_header returns: to nginx _ in its name is as good as -.
func (k *kong) header(name string) (value string) {
	dashed := func(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "-")) }
	for sent, v := range k.headers {
		if dashed(sent) == dashed(name) && (value == "" || !strings.Contains(sent, "_")) {
			value = v
		}
	}
	return value
}

// allHeaders are a Struct, whose strings may have any bytes. Cookies come in two, where
// there is more than one.
func (k *kong) allHeaders() []byte {
	var table []byte
	told := 0
	add := func(name string, values ...string) {
		if told += len(values); told > 1000 {
			return // as they are cut off there
		}
		value := func(s string) []byte {
			return protowire.AppendString(protowire.AppendTag(nil, 3, protowire.BytesType), s)
		}
		one := value(values[0])
		if len(values) > 1 {
			var list []byte
			for _, v := range values {
				list = protowire.AppendBytes(protowire.AppendTag(list, 1, protowire.BytesType), value(v))
			}
			one = protowire.AppendBytes(protowire.AppendTag(nil, 6, protowire.BytesType), list)
		}
		entry := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), name)
		entry = protowire.AppendBytes(protowire.AppendTag(entry, 2, protowire.BytesType), one)
		table = protowire.AppendBytes(protowire.AppendTag(table, 1, protowire.BytesType), entry)
	}
	for n := range k.junk {
		add(fmt.Sprint("x-junk-", n), "x")
	}
	if k.host != "" {
		add("host", k.host)
	}
	for name, value := range k.headers {
		add(strings.ToLower(name), value, "another of this name")
	}
	if cookies := k.text["cookies"]; cookies != "" {
		add("cookie", strings.Split(cookies, "; ")...)
	}
	return table
}

func (k *kong) tell(method, what string) { k.told = append(k.told, method+" "+what) }

// decodeKV decodes by hand, since the value may be no UTF-8.
func decodeKV(args []byte) (key, value string, err error) {
	for len(args) > 0 {
		field, _, n := protowire.ConsumeTag(args)
		raw, m := protowire.ConsumeBytes(args[n:])
		if n < 0 || m < 0 {
			return "", "", fmt.Errorf("not a KV: %x", args)
		}
		args = args[n+m:]
		if field == 1 {
			key = string(raw)
			continue
		}
		var v structpb.Value
		if err := proto.Unmarshal(raw, &v); err != nil {
			_, _, n := protowire.ConsumeTag(raw)
			bytes, _ := protowire.ConsumeBytes(raw[n:])
			value = string(bytes)
		} else if v.GetStructValue() != nil || v.GetListValue() != nil {
			text, _ := json.Marshal(v.AsInterface())
			value = string(text)
		} else {
			value = v.GetStringValue()
		}
	}
	return key, value, nil
}

func stringReply(s string) []byte {
	return protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), s)
}

// options are those of a plugin that may use everything, but has nothing probed.
var options = plugin.Options{Outcomes: true, Log: slog.New(slog.DiscardHandler)}
