package plugin

import (
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/Kong/go-pdk/bridge"
	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"

	"kong-traffic-split/plugin/config"
)

// call is a call of Kong's PDK that is the same for every request, prepared
// once: go-pdk would build its arguments anew each time. The arguments are only
// read, by any number of requests at once.
type call struct {
	method string
	args   proto.Message
}

// prepare makes a call whose arguments are encoded already: as fields that an empty
// message does not know, they take a fraction of the memory, of which there is some
// for each backend of each plugin row.
func prepare(method string, args proto.Message) call {
	raw, err := proto.Marshal(args)
	if err != nil {
		panic(err) // a checked configuration encodes
	}
	var encoded emptypb.Empty
	encoded.ProtoReflect().SetUnknown(raw)
	return call{method, &encoded}
}

// headerCalls are the calls that change headers for b, as few as Kong allows.
// All of request_headers' set and remove fit in one; a header that is added to
// those of the client needs one of its own, since Kong breaks a list there. On
// responses set_headers would erase what earlier plugins set.
func headerCalls(b *config.Backend, responseHeader string) []call {
	var calls []call
	replaced := map[string][]string{}
	for name, value := range b.RequestHeaders.Set {
		replaced[name] = []string{value}
	}
	for _, name := range b.RequestHeaders.Remove {
		replaced[name] = nil
	}
	if len(replaced) > 0 {
		calls = append(calls, prepare("kong.service.request.set_headers", headers(replaced)))
	}
	for _, name := range slices.Sorted(maps.Keys(b.RequestHeaders.Add)) {
		calls = append(calls, prepare("kong.service.request.add_header", kv(name, b.RequestHeaders.Add[name])))
	}
	for _, name := range slices.Sorted(maps.Keys(b.ResponseHeaders.Add)) {
		calls = append(calls, prepare("kong.response.add_header", kv(name, b.ResponseHeaders.Add[name])))
	}
	if responseHeader != "" {
		calls = append(calls, prepare("kong.response.set_header", kv(responseHeader, b.Name)))
	}
	return calls
}

// headers is a Struct of lists; a header with an empty one is removed.
func headers(h map[string][]string) *structpb.Struct {
	fields := make(map[string]*structpb.Value, len(h))
	for name, values := range h {
		list := &structpb.ListValue{}
		for _, v := range values {
			list.Values = append(list.Values, structpb.NewStringValue(v))
		}
		fields[name] = structpb.NewListValue(list)
	}
	return &structpb.Struct{Fields: fields}
}

// kv pairs a name with a value that may hold any bytes. protobuf's Go library
// refuses to encode strings that are not UTF-8, though Kong takes them; the
// same bytes pass as fields that the message does not know.
func kv(name, value string) proto.Message {
	if utf8.ValidString(value) {
		return &kong_plugin_protocol.KV{K: name, V: structpb.NewStringValue(value)}
	}
	const stringValue, k, v = 3, 1, 2 // field numbers of google.protobuf.Value and of KV
	inner := protowire.AppendTag(nil, stringValue, protowire.BytesType)
	inner = protowire.AppendString(inner, value)
	raw := protowire.AppendTag(nil, k, protowire.BytesType)
	raw = protowire.AppendString(raw, name)
	raw = protowire.AppendTag(raw, v, protowire.BytesType)
	raw = protowire.AppendBytes(raw, inner)
	m := &kong_plugin_protocol.KV{}
	m.ProtoReflect().SetUnknown(raw)
	return m
}

// stringArg is a string argument, of any bytes: on the wire it is the same
// whether it is declared as a string or as bytes.
func stringArg(s string) proto.Message { return bridge.WrapByteString([]byte(s)) }
