package standin

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"

	"kong-traffic-split/kong/declarative"

	"google.golang.org/protobuf/encoding/protowire"
)

// The arguments and replies of the PDK, as Kong's Lua decodes and encodes
// them. They are read and written by hand, since Kong puts any bytes into a
// string, which the protobuf library refuses, and since it leaves out zeros,
// but not false.
//
// A Lua value is nil, bool, float64, string, []any or map[string]any.

// raised is an error that Lua code raises. It ends the plugin's phase.
type raised struct{ message string }

func (e raised) Error() string { return e.message }

func raise(format string, args ...any) error { return raised{fmt.Sprintf(format, args...)} }

// visitor takes one field of a message: a number, or bytes.
type visitor func(field protowire.Number, number uint64, bytes []byte)

// visit reads the fields of a message.
func visit(message []byte, take visitor) error {
	for len(message) > 0 {
		field, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return raise("invalid message: %v", protowire.ParseError(n))
		}
		message = message[n:]
		var number uint64
		var bytes []byte
		switch kind {
		case protowire.VarintType:
			number, n = protowire.ConsumeVarint(message)
		case protowire.Fixed64Type:
			number, n = protowire.ConsumeFixed64(message)
		case protowire.BytesType:
			bytes, n = protowire.ConsumeBytes(message)
		default:
			n = protowire.ConsumeFieldValue(field, kind, message)
		}
		if n < 0 {
			return raise("invalid message: %v", protowire.ParseError(n))
		}
		message = message[n:]
		take(field, number, bytes)
	}
	return nil
}

// decodeText reads a String or a ByteString.
func decodeText(message []byte) (text string, err error) {
	err = visit(message, func(field protowire.Number, _ uint64, bytes []byte) {
		if field == 1 {
			text = string(bytes)
		}
	})
	return text, err
}

// decodeInt reads an Int.
func decodeInt(message []byte) (n int, err error) {
	err = visit(message, func(field protowire.Number, number uint64, _ []byte) {
		if field == 1 {
			n = int(int32(number))
		}
	})
	return n, err
}

// decodeTarget reads a Target.
func decodeTarget(message []byte) (host string, port int, err error) {
	err = visit(message, func(field protowire.Number, number uint64, bytes []byte) {
		switch field {
		case 1:
			host = string(bytes)
		case 2:
			port = int(int32(number))
		}
	})
	return host, port, err
}

// decodeKV reads a KV.
func decodeKV(message []byte) (key string, value any, err error) {
	var inner error
	err = visit(message, func(field protowire.Number, _ uint64, bytes []byte) {
		switch field {
		case 1:
			key = string(bytes)
		case 2:
			value, inner = decodeValue(bytes)
		}
	})
	return key, value, cmp.Or(err, inner)
}

// decodeValue reads a Value. As in Kong, false becomes nil, and null the name
// of its enum.
func decodeValue(message []byte) (value any, err error) {
	var inner error
	err = visit(message, func(field protowire.Number, number uint64, bytes []byte) {
		switch field {
		case 1:
			value = "NULL_VALUE"
		case 2:
			value = math.Float64frombits(number)
		case 3:
			value = string(bytes)
		case 4:
			value = nil
			if number != 0 {
				value = true
			}
		case 5:
			value, inner = decodeStruct(bytes)
		case 6:
			value, inner = decodeList(bytes)
		}
	})
	return value, cmp.Or(err, inner)
}

// decodeStruct reads a Struct.
func decodeStruct(message []byte) (map[string]any, error) {
	out := map[string]any{}
	var inner error
	err := visit(message, func(field protowire.Number, _ uint64, bytes []byte) {
		if field != 1 || inner != nil {
			return
		}
		var key string
		var value any
		if key, value, inner = decodeKV(bytes); value != nil {
			out[key] = value
		}
	})
	return out, cmp.Or(err, inner)
}

// decodeList reads a ListValue.
func decodeList(message []byte) ([]any, error) {
	out := []any{}
	var inner error
	err := visit(message, func(field protowire.Number, _ uint64, bytes []byte) {
		if field != 1 || inner != nil {
			return
		}
		var value any
		value, inner = decodeValue(bytes)
		out = append(out, value)
	})
	return out, cmp.Or(err, inner)
}

// encodeText writes a String. Kong leaves out one that is empty.
func encodeText(text string) []byte { return appendText(nil, 1, text) }

// encodeInt writes an Int. Kong leaves out 0.
func encodeInt(n int) []byte { return appendInt(nil, 1, n) }

// encodeBool writes a Bool. Kong writes false, too.
func encodeBool(b bool) []byte { return appendBool(nil, 1, b) }

func appendText(dst []byte, field protowire.Number, text string) []byte {
	if text == "" {
		return dst
	}
	return appendBytes(dst, field, []byte(text))
}

func appendBytes(dst []byte, field protowire.Number, bytes []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(dst, field, protowire.BytesType), bytes)
}

func appendInt(dst []byte, field protowire.Number, n int) []byte {
	if n == 0 {
		return dst
	}
	return protowire.AppendVarint(protowire.AppendTag(dst, field, protowire.VarintType), uint64(int64(n)))
}

func appendBool(dst []byte, field protowire.Number, b bool) []byte {
	return protowire.AppendVarint(protowire.AppendTag(dst, field, protowire.VarintType), protowire.EncodeBool(b))
}

// encodeValue writes a Value. For nil Kong writes 1 where null is 0.
func encodeValue(value any) []byte {
	switch v := value.(type) {
	case bool:
		return appendBool(nil, 4, v)
	case float64:
		return protowire.AppendFixed64(protowire.AppendTag(nil, 2, protowire.Fixed64Type), math.Float64bits(v))
	case string:
		return appendBytes(nil, 3, []byte(v))
	case []any:
		if len(v) == 0 {
			return appendBytes(nil, 5, nil) // an empty table is no list
		}
		var list []byte
		for _, element := range v {
			list = appendBytes(list, 1, encodeValue(element))
		}
		return appendBytes(nil, 6, list)
	case map[string]any:
		return appendBytes(nil, 5, encodeStruct(v))
	}
	return protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 1)
}

// encodeStruct writes a Struct. Kong writes the fields in no order; here they
// are sorted.
func encodeStruct(fields map[string]any) []byte {
	var out []byte
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		pair := appendText(nil, 1, key)
		if value := encodeValue(fields[key]); len(value) > 0 {
			pair = appendBytes(pair, 2, value)
		}
		out = appendBytes(out, 1, pair)
	}
	return out
}

// luaString is Lua's tostring.
func luaString(value any) string {
	switch luaType(value) {
	case "nil":
		return "nil"
	case "table":
		return fmt.Sprintf("table: %p", &value)
	}
	return declarative.LuaString(value)
}

// luaType is Lua's type.
func luaType(value any) string {
	switch value.(type) {
	case nil:
		return "nil"
	case string:
		return "string"
	case bool:
		return "boolean"
	case float64:
		return "number"
	}
	return "table"
}
