package plugin

import (
	"math"

	pdk "github.com/Kong/go-pdk"
	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
)

// go-pdk's own methods are used wherever it has them. ask and what is built on it are for
// what it lacks:
//   - strings of any bytes. Kong takes them and clients send them, in headers, paths and
//     queries; go-pdk refuses what is not UTF-8.
//   - the reply to set_upstream, whether Kong has the Upstream, which it does not read.
//   - set_headers with one value for a name. It makes lists of all values, and of a list
//     that is the Host, Kong makes "table: 0x…".
//   - kong.log.set_serialize_value.
//   - a route or a Service, which it makes Go values of twice, for each request of a row
//     that is not on a route.
//   - calls that are the same for many requests, which are encoded once.

// call is a call of Kong's PDK with its arguments encoded. It is shared by requests, and
// never changes. The plugin server knows the type by what it is made of.
type call = struct {
	Method string
	Args   []byte // nil: it has none
}

// keyedCall is a call that is the same as long as its key is.
type keyedCall[K comparable] struct {
	key  K
	call call
}

// ask makes a call, and decodes the reply unless that is nil.
func ask(k *pdk.PDK, c call, reply proto.Message) error {
	var args emptypb.Empty // what a message does not know, it encodes as it is
	args.ProtoReflect().SetUnknown(c.Args)
	return k.Node.PdkBridge.Ask(c.Method, &args, reply)
}

// tell makes a call to which Kong replies nothing.
func (r *request) tell(c call) error { return ask(r.kong, c, nil) }

// askText makes a call that returns a string of any bytes; empty: there is none.
func (r *request) askText(c call) (string, error) {
	var reply kong_plugin_protocol.ByteString // on the socket, the same as a String
	err := ask(r.kong, c, &reply)
	return string(reply.V), err
}

// messageCall is the call of a method that takes a message, all of whose strings are UTF-8.
func messageCall(method string, args proto.Message) call {
	raw, err := proto.Marshal(args)
	if err != nil {
		panic(err)
	}
	return call{method, raw}
}

// The numbers of fields of Kong's String and KV, and of google.protobuf's Struct, of an
// entry of it, of Value and of ListValue.
const (
	text                   = 1
	kvKey, kvValue         = 1, 2
	structFields           = 1
	entryKey, entryValue   = 1, 2
	valueNumber            = 2
	valueString            = 3
	valueBool              = 4
	valueStruct, valueList = 5, 6
	listValues             = 1
)

// appendField adds a field to an encoded message.
func appendField[T string | []byte](to []byte, number protowire.Number, content T) []byte {
	return protowire.AppendString(protowire.AppendTag(to, number, protowire.BytesType), string(content))
}

// structEntry is an entry of an encoded Struct, with an encoded Value.
func structEntry(name string, value []byte) []byte {
	return appendField(nil, structFields, appendField(appendField(nil, entryKey, name), entryValue, value))
}

// numberValue is an encoded Value.
func numberValue(number float64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(nil, valueNumber, protowire.Fixed64Type), math.Float64bits(number))
}

// eachField calls take with each field of that number in an encoded message, as far as
// it can be read. All the fields here are of that type.
func eachField(message []byte, number protowire.Number, take func([]byte)) {
	for len(message) > 0 {
		n, kind, length := protowire.ConsumeTag(message)
		if length < 0 {
			return
		}
		message = message[length:]
		if length = protowire.ConsumeFieldValue(n, kind, message); length < 0 {
			return
		}
		if n == number && kind == protowire.BytesType {
			content, _ := protowire.ConsumeBytes(message)
			take(content)
		}
		message = message[length:]
	}
}

// textCall is the call of a method that takes a string, of any bytes.
func textCall(method, arg string) call { return call{method, appendField(nil, text, arg)} }

// pairCall is the call of a method that takes a name and a value, of any bytes.
func pairCall(method, name, value string) call {
	return call{method, appendField(appendField(nil, kvKey, name), kvValue, appendField(nil, valueString, value))}
}
