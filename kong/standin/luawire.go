package standin

import (
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

// fields are those of a message, in their order.
type fields []field

// A field of a message has a number or bytes, by its type.
type field struct {
	tag    protowire.Number
	number uint64
	bytes  []byte
}

func parseFields(text []byte) (m fields, err error) {
	for len(text) > 0 {
		tag, kind, n := protowire.ConsumeTag(text)
		f := field{tag: tag}
		if n >= 0 {
			text = text[n:]
			switch kind {
			case protowire.VarintType:
				f.number, n = protowire.ConsumeVarint(text)
			case protowire.Fixed64Type:
				f.number, n = protowire.ConsumeFixed64(text)
			case protowire.BytesType:
				f.bytes, n = protowire.ConsumeBytes(text)
			default:
				n = protowire.ConsumeFieldValue(tag, kind, text)
			}
		}
		if n < 0 {
			return nil, raise("invalid message: %v", protowire.ParseError(n))
		}
		text = text[n:]
		m = append(m, f)
	}
	return m, nil
}

// field is the last one with a tag; where there is none, it has nothing in it.
func (m fields) field(tag protowire.Number) (last field) {
	for _, f := range m {
		if f.tag == tag {
			last = f
		}
	}
	return last
}

func (m fields) text(tag protowire.Number) string { return string(m.field(tag).bytes) }
func (m fields) int(tag protowire.Number) int     { return int(int32(m.field(tag).number)) }

// What methods of the PDK take, besides a string, an int, a map[string]any (a Struct)
// and an []any (a ListValue), and what they return, besides a string and an int.
type (
	none     struct{}
	keyValue struct { // a KV
		key   string
		value any
	}
	targetArgs struct { // a Target
		host string
		port int
	}
	exitArgs struct { // an ExitArgs
		status  int
		body    []byte
		headers map[string]any
	}
	luaValue struct{ any } // a Value
)

// decode reads a message into what args points to: one of these types.
func decode(text []byte, args any) error {
	m, err := parseFields(text)
	if err != nil {
		return err
	}
	switch a := args.(type) {
	case *string: // of a String or a ByteString
		*a = m.text(1)
	case *int:
		*a = m.int(1)
	case *targetArgs:
		*a = targetArgs{m.text(1), m.int(2)}
	case *exitArgs:
		a.status, a.body, a.headers = m.int(1), []byte(m.text(2)), map[string]any{}
		return decode(m.field(3).bytes, &a.headers)
	case *keyValue:
		a.key = m.text(1)
		a.value, err = decodeValue(m.field(2).bytes)
	case *map[string]any:
		*a = map[string]any{}
		for _, f := range m {
			var p keyValue
			if err := decode(f.bytes, &p); err != nil {
				return err
			}
			if p.value != nil {
				(*a)[p.key] = p.value
			}
		}
	case *[]any:
		*a = make([]any, len(m))
		for i, f := range m {
			if (*a)[i], err = decodeValue(f.bytes); err != nil {
				return err
			}
		}
	}
	return err
}

// decodeValue reads a Value. As in Kong, false becomes nil, and null the name
// of its enum.
func decodeValue(text []byte) (any, error) {
	m, err := parseFields(text)
	if err != nil || len(m) == 0 {
		return nil, err
	}
	switch last := m[len(m)-1]; last.tag {
	case 1:
		return "NULL_VALUE", nil
	case 2:
		return math.Float64frombits(last.number), nil
	case 3:
		return string(last.bytes), nil
	case 4:
		if last.number != 0 {
			return true, nil
		}
	case 5:
		var table map[string]any
		err = decode(last.bytes, &table)
		return table, err
	case 6:
		var list []any
		err = decode(last.bytes, &list)
		return list, err
	}
	return nil, nil
}

// encode writes what a method returns.
func encode(reply any) []byte {
	switch r := reply.(type) {
	case string:
		return encodeText(r)
	case int:
		return encodeInt(r)
	case luaValue:
		return encodeValue(r.any)
	case bool:
		return appendBool(nil, 1, r) // Kong writes false, too
	case map[string]any:
		return encodeStruct(r)
	case []byte:
		return r
	}
	return nil
}

// encodeText writes a String. Kong leaves out one that is empty.
func encodeText(text string) []byte { return appendText(nil, 1, text) }

// encodeInt writes an Int. Kong leaves out 0.
func encodeInt(n int) []byte { return appendInt(nil, 1, n) }

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
