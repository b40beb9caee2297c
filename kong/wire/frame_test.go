package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestReadFrame(t *testing.T) {
	for _, tt := range []struct {
		name   string
		stream string
		want   string
		err    string
	}{
		{"a frame", "\x02\x00\x00\x00hi", "hi", ""},
		{"an empty frame", "\x00\x00\x00\x00", "", ""},
		{"a frame before another", "\x01\x00\x00\x00a\x01\x00\x00\x00b", "a", ""},
		{"the end", "", "", "EOF"},
		{"the end in the length", "\x02\x00", "", "unexpected EOF"},
		{"the end after the length", "\x02\x00\x00\x00", "", "unexpected EOF"},
		{"the end in the body", "\x02\x00\x00\x00h", "", "unexpected EOF"},
		{
			"one byte too many", "\x01\x00\x00\x01",
			"", "frame of 16777217 bytes is longer than the 16777216 that are allowed",
		},
		{
			"4 GiB", "\xff\xff\xff\xff",
			"", "frame of 4294967295 bytes is longer than the 16777216 that are allowed",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for name, reader := range map[string]func(io.Reader) io.Reader{
				"at once": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader,
			} {
				got, err := ReadFrame(reader(bytes.NewReader([]byte(tt.stream))), nil)
				if (err == nil) != (tt.err == "") || err != nil && err.Error() != tt.err {
					t.Errorf("%s: error %v, want %q", name, err, tt.err)
				}
				if string(got) != tt.want {
					t.Errorf("%s: %q, want %q", name, got, tt.want)
				}
			}
		})
	}
}

func TestReadFrameReturnsTheReadersError(t *testing.T) {
	broken := errors.New("broken")
	for _, stream := range []string{"", "\x02", "\x02\x00\x00\x00", "\x02\x00\x00\x00h"} {
		r := io.MultiReader(bytes.NewReader([]byte(stream)), iotest.ErrReader(broken))
		if _, err := ReadFrame(r, nil); !errors.Is(err, broken) {
			t.Errorf("after %q: %v", stream, err)
		}
	}
}

func TestTheLongestFrame(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789abcdef"), MaxFrame/16)
	got, err := ReadFrame(bytes.NewReader(AppendFrame(nil, body)), nil)
	if err != nil || !bytes.Equal(got, body) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// What is read back is what was written, whatever memory the reader has.
func TestFramesAreReadAsTheyWereWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bodies := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 300), 0, 10).Draw(t, "bodies")
		var stream []byte
		for _, body := range bodies {
			stream = AppendFrame(stream, body)
		}
		r := bytes.NewReader(stream)
		buf := make([]byte, rapid.IntRange(0, 200).Draw(t, "length"), 200)
		for _, want := range bodies {
			got, err := ReadFrame(r, buf)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Fatal(cmp.Diff(want, got))
			}
			buf = got
		}
		if _, err := ReadFrame(r, buf); err != io.EOF {
			t.Fatalf("at the end: %v", err)
		}
	})
}

func TestMemoryGrowsOnlyWithBytesThatArrive(t *testing.T) {
	for _, arrive := range []int{0, 1, growth, 5 * growth} {
		r := bytes.NewReader(append([]byte("\x00\x00\x00\x01"), make([]byte, arrive)...)) // MaxFrame
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := ReadFrame(r, nil)
		runtime.ReadMemStats(&after)
		if err != io.ErrUnexpectedEOF {
			t.Errorf("%d bytes arrive: %v", arrive, err)
		}
		if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(8*arrive+4*growth); got > limit {
			t.Errorf("%d bytes of %d arrive: %d bytes allocated, want %d at most", arrive, MaxFrame, got, limit)
		}
	}
}

func TestNoMemoryIsTakenWhereTheBufferIsLargeEnough(t *testing.T) {
	stream := AppendFrame(nil, make([]byte, 1000))
	buf := make([]byte, 0, 1000)
	r := bytes.NewReader(stream)
	if n := testing.AllocsPerRun(100, func() {
		r.Reset(stream)
		if _, err := ReadFrame(r, buf); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(AppendFrame(AppendFrame(nil, []byte("kong.service.set_target")), nil))
	f.Add([]byte("\xff\xff\xff\xff"))
	f.Add([]byte("\x05\x00\x00\x00abc"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		r := bytes.NewReader(stream)
		var again, buf []byte
		for {
			frame, err := ReadFrame(r, buf)
			if err != nil {
				break
			}
			if len(frame) > MaxFrame {
				t.Fatalf("a frame of %d bytes", len(frame))
			}
			again = AppendFrame(again, frame)
			buf = frame
		}
		if !bytes.HasPrefix(stream, again) {
			t.Fatalf("%q is read as %q", stream, again)
		}
		if rest := stream[len(again):]; len(rest) >= 4 {
			if length := binary.LittleEndian.Uint32(rest); int(length) <= len(rest)-4 && length <= MaxFrame {
				t.Fatalf("a whole frame was not read: %q", rest)
			}
		}
	})
}
