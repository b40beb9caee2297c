package status

import (
	"bytes"
	"compress/flate"
	"io"
	"strings"
	"sync"
)

// An event is a server-sent event. Its text is made when somebody first needs it, and
// shared by all.
type event struct {
	plain, zipped func() []byte
}

// newEvent returns an event with sections.
func newEvent(name string, all []section) *event {
	e := &event{plain: sync.OnceValue(func() []byte { return eventText(name, all) })}
	e.zipped = sync.OnceValue(func() []byte { return deflated(e.plain()) })
	return e
}

func eventText(name string, all []section) []byte {
	var text bytes.Buffer
	text.WriteString("event: " + name + "\n")
	for _, s := range all {
		for line := range strings.SplitSeq(s.html, "\n") {
			text.WriteString("data: " + line + "\n")
		}
	}
	if len(all) == 0 {
		text.WriteString("data\n") // without, the browser ignores it
	}
	text.WriteString("\n")
	return text.Bytes()
}

// gzipHead begins a text in gzip of which nothing else is known.
const gzipHead = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"

// deflated returns a text as blocks of deflate that refer to nothing before them and end on
// a whole byte: so a stream may consist of any such texts, one after another.
func deflated(text []byte) []byte {
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestSpeed)
	if err == nil {
		_, err = w.Write(text)
	}
	if err == nil {
		err = w.Flush()
	}
	if err != nil { // a buffer takes everything
		panic(err)
	}
	return out.Bytes()
}

// write sends the event, as the first one of a stream or a later one.
func (e *event) write(to io.Writer, zipped, first bool) error {
	text := e.plain
	if zipped {
		text = e.zipped
		if first {
			if _, err := io.WriteString(to, gzipHead); err != nil {
				return err
			}
		}
	}
	_, err := to.Write(text())
	return err
}
