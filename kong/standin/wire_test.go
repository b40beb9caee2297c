package standin

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"pgregory.net/rapid"
)

// TestValuesAgainstProtobuf reads what the protobuf library writes, and the
// other way round.
func TestValuesAgainstProtobuf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := drawValue(3).Draw(t, "value")
		ours := encodeValue(value)
		message := &structpb.Value{}
		if err := proto.Unmarshal(ours, message); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(value, message.AsInterface()); diff != "" {
			t.Fatalf("ours, read by protobuf:\n%s", diff)
		}
		theirs, err := proto.Marshal(message)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeValue(theirs)
		if diff := cmp.Diff(value, got); diff != "" || err != nil {
			t.Fatalf("theirs, read by us: %v\n%s", err, diff)
		}
	})
}

// drawValue has no null, false or empty list, which Lua changes.
func drawValue(depth int) *rapid.Generator[any] {
	leaves := []*rapid.Generator[any]{
		rapid.Just[any](true),
		rapid.Map(rapid.Float64().Filter(func(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }), func(f float64) any { return f }),
		rapid.Map(rapid.String(), func(s string) any { return s }),
	}
	if depth > 0 {
		leaves = append(leaves,
			rapid.Map(rapid.SliceOfN(rapid.Deferred(func() *rapid.Generator[any] { return drawValue(depth - 1) }), 1, 4),
				func(list []any) any { return list }),
			rapid.Map(rapid.MapOf(rapid.String(), rapid.Deferred(func() *rapid.Generator[any] { return drawValue(depth - 1) })),
				func(m map[string]any) any { return m }))
	}
	return rapid.OneOf(leaves...)
}

// TestWhatLuaMakesOfValues covers values that change on their way.
func TestWhatLuaMakesOfValues(t *testing.T) {
	for name, tt := range map[string]struct {
		sent *structpb.Value
		want any
	}{
		"null":  {structpb.NewNullValue(), "NULL_VALUE"},
		"false": {structpb.NewBoolValue(false), nil},
		"list":  {structpb.NewListValue(&structpb.ListValue{}), []any{}},
	} {
		message, err := proto.Marshal(tt.sent)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decodeValue(message); err != nil || !cmp.Equal(got, tt.want) {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
	for name, tt := range map[string]struct {
		value any
		want  string
	}{
		"nil":           {nil, "\x08\x01"},
		"false":         {false, "\x20\x00"},
		"an empty list": {[]any{}, "\x2a\x00"},
		"a zero":        {0.0, "\x11\x00\x00\x00\x00\x00\x00\x00\x00"},
	} {
		if got := string(encodeValue(tt.value)); got != tt.want {
			t.Errorf("%s: got %q", name, got)
		}
	}
	for name, got := range map[string][]byte{
		"text": encodeText(""), "integer": encodeInt(0),
	} {
		if len(got) != 0 {
			t.Errorf("%s: Kong leaves zeros out, got %q", name, got)
		}
	}
}

// FuzzDecode has any bytes end in an error or a value.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("\x0a\x01k\x12\x02\x20\x01"))
	f.Fuzz(func(_ *testing.T, message []byte) {
		for _, args := range []any{
			new(string), new(int), new(keyValue), new(targetArgs), new(exitArgs), new(map[string]any), new([]any),
		} {
			_ = decode(message, args)
		}
	})
}
