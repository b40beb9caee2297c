package state

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestFormat(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entries := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) entry {
			return entry{
				rapid.StringN(0, 20, -1).Draw(t, "key"),
				rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "value"),
				time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "set"), 0).UTC(),
			}
		}), 0, 10).Draw(t, "entries")
		text, dropped := encode(entries)
		got, err := decode(text)
		if err != nil || dropped != "" || len(got) != len(entries) {
			t.Fatalf("%v, %q, %d of %d entries", err, dropped, len(got), len(entries))
		}
		for i := range got {
			if got[i].key != entries[i].key || !bytes.Equal(got[i].value, entries[i].value) || !got[i].set.Equal(entries[i].set) {
				t.Fatalf("got %v, want %v", got[i], entries[i])
			}
		}
		// Any piece of it is none, and neither is one with a byte that is another.
		if _, err := decode(text[:rapid.IntRange(0, len(text)-1).Draw(t, "length")]); err == nil {
			t.Fatal("a piece is taken for the whole")
		}
		i := rapid.IntRange(0, len(text)-1).Draw(t, "place")
		text[i] ^= byte(rapid.IntRange(1, 255).Draw(t, "bits"))
		if _, err := decode(text); err == nil {
			t.Fatalf("byte %d is another, and nobody sees it", i)
		}
	})
}

func FuzzDecode(f *testing.F) {
	text, _ := encode([]entry{{"split/row/p1", []byte(`{"a":1}`), time.Unix(0, 0)}})
	f.Add(text)
	f.Add([]byte("traffic-split state 1\nend 00000000\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		entries, err := decode(text)
		if err != nil {
			return
		}
		again, _ := encode(entries)
		if got, err := decode(again); err != nil || !cmp.Equal(got, entries, cmp.AllowUnexported(entry{})) {
			t.Errorf("got %v, want %v, %v", got, entries, err)
		}
	})
}

// What is too much is left out, what comes last first, and it is said.
func TestBounds(t *testing.T) {
	now := time.Unix(0, 0)
	big := []byte(strings.Repeat("x", maxValue-40)) // with key and time as long as is allowed
	many := func(n int, value []byte) (entries []entry) {
		for range n {
			entries = append(entries, entry{"k", value, now})
		}
		return entries
	}
	for name, test := range map[string]struct {
		entries []entry
		kept    int
		dropped string
	}{
		"a long value": {
			[]entry{{"a", nil, now}, {"b", make([]byte, maxValue), now}, {"c", nil, now}},
			2,
			`a value is left out: "b": it takes 4194332 bytes, and a value at most 1048576`,
		},
		"two long values": {
			[]entry{{"a", make([]byte, maxValue), now}, {strings.Repeat("k", maxValue), nil, now}},
			0,
			`2 values are left out, the first is "a": it takes 4194332 bytes, and a value at most 1048576`,
		},
		"many values": {many(maxEntries+3, nil), maxEntries, `3 values are left out, the first is "k": the file has at most 100000 values`},
		"a long file": {append(many(33, big), entry{"small", nil, now}), 33, `a value is left out: "k": the file has at most 33554432 bytes`},
	} {
		t.Run(name, func(t *testing.T) {
			text, dropped := encode(test.entries)
			if dropped != test.dropped {
				t.Errorf("got %q, want %q", dropped, test.dropped)
			}
			entries, err := decode(text)
			if err != nil || len(entries) != test.kept || len(text) > maxFile+endLength {
				t.Errorf("%d entries, %v, %d bytes", len(entries), err, len(text))
			}
		})
	}
}
