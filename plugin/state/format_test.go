package state

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
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
		text, dropped := encode(entries, fileBounds)
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
	text, _ := encode([]entry{{"split/row/p1", []byte(`{"a":1}`), time.Unix(0, 0)}}, fileBounds)
	f.Add(text)
	f.Add([]byte("traffic-split state 1\nend 00000000\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		entries, err := decode(text)
		if err != nil {
			return
		}
		again, _ := encode(entries, fileBounds)
		if got, err := decode(again); err != nil || !cmp.Equal(got, entries, cmp.AllowUnexported(entry{})) {
			t.Errorf("got %v, want %v, %v", got, entries, err)
		}
	})
}

// What is too much is left out, what comes last first, and it is said.
func TestBounds(t *testing.T) {
	b := bounds{file: 345, entries: 10, value: 50}
	e := func(key string, length int) entry {
		return entry{key, []byte(strings.Repeat("x", length)), time.Unix(0, 0)}
	}
	many := func(n int, e entry) []entry { return slices.Repeat([]entry{e}, n) }
	for name, test := range map[string]struct {
		entries []entry
		kept    int
		dropped string
	}{
		"nothing":      {nil, 0, ""},
		"enough":       {many(10, e("k", 0)), 10, ""},
		"a long value": {[]entry{e("a", 0), e("b", 23), e("c", 22)}, 2, `a value is left out: "b": it takes 51 bytes, and a value at most 50`},
		"long values":  {[]entry{e("a", 100), e(strings.Repeat("k", 100), 0)}, 0, `2 values are left out, the first is "a": it takes 128 bytes, and a value at most 50`},
		"many values":  {many(13, e("k", 0)), 10, `3 values are left out, the first is "k": the file has at most 10 values`},
		"a long file":  {append(many(7, e("k", 20)), e("small", 0)), 7, `a value is left out: "k": the file has at most 345 bytes`},
	} {
		t.Run(name, func(t *testing.T) {
			text, dropped := encode(test.entries, b)
			if dropped != test.dropped {
				t.Errorf("got %q, want %q", dropped, test.dropped)
			}
			entries, err := decode(text)
			if err != nil || len(entries) != test.kept || len(text) > b.file+endLength {
				t.Errorf("%d entries, %v, %d bytes", len(entries), err, len(text))
			}
		})
	}
}

// A file that is longer than any that was written is not read.
func TestALongFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, int64(maxFile+endLength+1)); err != nil { // it takes no room
		t.Fatal(err)
	}
	const want = "it is longer than 33554445 bytes, the most that is read"
	if _, err := readFile(path); err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}
