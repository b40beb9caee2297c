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
	return encoded(method, raw)
}

// encoded is a call whose arguments are encoded already.
func encoded(method string, args []byte) call {
	var unknown emptypb.Empty
	unknown.ProtoReflect().SetUnknown(args)
	return call{method, &unknown}
}

// headerCalls are the calls that change headers for b besides the one of setHeaders, as
// few as Kong allows. A header that is added to those of the client needs one of its own,
// since Kong breaks a list there. On responses set_headers would erase what earlier
// plugins set.
func headerCalls(b *config.Backend, responseHeader string) []call {
	var calls []call
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

// headers are the request headers that are set or removed, encoded as entries of a
// Struct. go-pdk would make lists of all the values, which Kong takes longer to read, and
// of which it makes "table: 0x…" where it is the Host; a header with an empty list is
// removed.
func headers(h *config.RequestHeaders) (entries []byte) {
	for _, name := range slices.Sorted(maps.Keys(h.Set)) {
		entries = append(entries, header(name, h.Set[name])...)
	}
	for _, name := range h.Remove {
		entries = appendEntry(entries, name, protowire.AppendBytes(protowire.AppendTag(nil, valueList, protowire.BytesType), nil))
	}
	return entries
}

// The numbers of fields of google.protobuf.Struct, of an entry of it, of Value, of
// ListValue, and of Kong's KV.
const (
	structFields           = 1
	entryKey, entryValue   = 1, 2
	valueString, valueList = 3, 6
	listValues             = 1
	kvKey, kvValue         = 1, 2
)

// header is an entry of a Struct, whose value may hold any bytes.
func header(name, value string) []byte { return appendEntry(nil, name, stringValue(value)) }

func appendEntry(to []byte, name string, value []byte) []byte {
	entry := protowire.AppendString(protowire.AppendTag(nil, entryKey, protowire.BytesType), name)
	entry = protowire.AppendBytes(protowire.AppendTag(entry, entryValue, protowire.BytesType), value)
	return protowire.AppendBytes(protowire.AppendTag(to, structFields, protowire.BytesType), entry)
}

// stringValue is a Value, encoded. protobuf's Go library refuses to encode strings that
// are not UTF-8, though Kong takes them.
func stringValue(s string) []byte {
	return protowire.AppendString(protowire.AppendTag(nil, valueString, protowire.BytesType), s)
}

// setHeaders is the call that sets and removes headers, of these entries.
func setHeaders(entries []byte) call { return encoded("kong.service.request.set_headers", entries) }

// setHost is the call that sets the Host with other headers, or alone.
func setHost(host string, entries []byte) call {
	if len(entries) == 0 {
		return prepare("kong.service.request.set_header", kv("Host", host))
	}
	return setHeaders(slices.Concat(header("Host", host), entries))
}

// kv pairs a name with a value that may hold any bytes.
func kv(name, value string) proto.Message {
	if utf8.ValidString(value) {
		return &kong_plugin_protocol.KV{K: name, V: structpb.NewStringValue(value)}
	}
	raw := protowire.AppendString(protowire.AppendTag(nil, kvKey, protowire.BytesType), name)
	raw = protowire.AppendBytes(protowire.AppendTag(raw, kvValue, protowire.BytesType), stringValue(value))
	m := &kong_plugin_protocol.KV{}
	m.ProtoReflect().SetUnknown(raw)
	return m
}

// stringArg is a string argument, of any bytes: on the wire it is the same
// whether it is declared as a string or as bytes.
func stringArg(s string) proto.Message { return bridge.WrapByteString([]byte(s)) }
