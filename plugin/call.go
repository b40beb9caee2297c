package plugin

import (
	pdk "github.com/Kong/go-pdk"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
)

// call is a call of Kong's PDK whose arguments are encoded, once where they are the same
// for every request: go-pdk would build them anew each time, and refuses strings that are
// not UTF-8, which Kong takes and clients send. The plugin server knows the type by what
// it is made of. Calls may be made by any number of requests at once.
type call = struct {
	Method string
	Args   []byte // nil: it has none
}

// ask makes a call in the way of go-pdk's own methods, for what these lack: arguments that
// are encoded already, replies of any bytes, and methods that go-pdk has not. reply is nil
// where Kong replies nothing.
func ask(k *pdk.PDK, c call, reply proto.Message) error {
	var args emptypb.Empty // what a message does not know, it encodes as it is
	args.ProtoReflect().SetUnknown(c.Args)
	return k.Node.PdkBridge.Ask(c.Method, &args, reply)
}

// messageCall is the call of a method that takes a message.
func messageCall(method string, args proto.Message) call {
	raw, err := proto.Marshal(args)
	if err != nil {
		panic(err) // what is not known to be UTF-8 goes by textCall and pairCall
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
	valueString, valueList = 3, 6
	listValues             = 1
)

// appendField adds a field to an encoded message.
func appendField[T string | []byte](to []byte, number protowire.Number, content T) []byte {
	return protowire.AppendString(protowire.AppendTag(to, number, protowire.BytesType), string(content))
}

// textCall is the call of a method that takes a string, of any bytes.
func textCall(method, arg string) call { return call{method, appendField(nil, text, arg)} }

// pairCall is the call of a method that takes a name and a value, of any bytes.
func pairCall(method, name, value string) call {
	return call{method, appendField(appendField(nil, kvKey, name), kvValue, appendField(nil, valueString, value))}
}
