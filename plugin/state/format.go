package state

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
	"time"
)

// The file is text: a line that names format and version, a line a value, and a line
// with the checksum of all that is before it.
//
//	traffic-split state 1
//	2026-11-28T12:00:00Z "split/row/…" "{\"rolled_back\":…}"
//	end 1c291ca3
const (
	formatName    = "traffic-split state "
	formatVersion = 1
	formatEnd     = "end "
	endLength     = len(formatEnd) + 9 // of the last line
)

// maxFile is the greatest length of a file in bytes, without its last line. 10,000 rows
// with a rollback and a last good configuration of 2 KiB each take about 25 MB.
const maxFile = 32 << 20

// bounds limit what is saved.
type bounds struct {
	file    int // bytes
	entries int
	value   int // bytes of a time, a key and its value as they are written
}

var fileBounds = bounds{maxFile, 100_000, 1 << 20}

// entry is one value of the file.
type entry struct {
	key   string
	value []byte
	set   time.Time // when it was set last, to the second
}

// encode returns the text of a file, and says what did not fit; empty: everything did.
func encode(entries []entry, b bounds) (text []byte, dropped string) {
	text = fmt.Appendf(nil, "%s%d\n", formatName, formatVersion)
	number, written := 0, 0
	for _, e := range entries {
		from := len(text)
		text = e.set.UTC().AppendFormat(text, time.RFC3339)
		text = strconv.AppendQuote(append(text, ' '), e.key)
		text = strconv.AppendQuote(append(text, ' '), string(e.value))
		text = append(text, '\n')
		var most string
		switch length := len(text) - from; {
		case length > b.value:
			most = fmt.Sprintf("it takes %d bytes, and a value at most %d", length, b.value)
		case len(text) > b.file:
			most = fmt.Sprintf("the file has at most %d bytes", b.file)
		case written == b.entries:
			most = fmt.Sprintf("the file has at most %d values", b.entries)
		default:
			written++
			continue
		}
		text = text[:from]
		if number++; number == 1 {
			dropped = fmt.Sprintf("%.100q: %s", e.key, most)
		}
	}
	if number > 1 {
		dropped = fmt.Sprintf("%d values are left out, the first is %s", number, dropped)
	} else if number == 1 {
		dropped = "a value is left out: " + dropped
	}
	return append(text, lastLine(text)...), dropped
}

// lastLine returns the last line of a file, with the checksum of the text before it.
func lastLine(text []byte) []byte {
	return fmt.Appendf(nil, "%s%08x\n", formatEnd, crc32.ChecksumIEEE(text))
}

// newerError is the error of a file that a later version of this program has written.
type newerError struct{ version int }

func (e newerError) Error() string {
	return fmt.Sprintf("it has version %d of the format, and this program knows %d: it is of a newer one", e.version, formatVersion)
}

var errCutOff = errors.New("it is no whole file of saved state")

// decode returns the values in the text of a file.
func decode(text []byte) ([]entry, error) {
	head, rest, _ := strings.Cut(string(text), "\n")
	number, named := strings.CutPrefix(head, formatName)
	version, err := strconv.Atoi(number)
	switch {
	case !named || err != nil || version < 1:
		return nil, errCutOff
	case version > formatVersion:
		return nil, newerError{version}
	}
	end := bytes.LastIndex(text, []byte("\n"+formatEnd)) + 1
	switch {
	case end == 0:
		return nil, errCutOff
	case !bytes.Equal(text[end:], lastLine(text[:end])):
		return nil, errors.New("its checksum is wrong")
	}
	var entries []entry
	for line := range strings.Lines(rest[:end-len(head)-1]) {
		e, err := decodeEntry(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", len(entries)+2, err)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func decodeEntry(line string) (e entry, err error) {
	at, rest, _ := strings.Cut(line, " ")
	if e.set, err = time.Parse(time.RFC3339, at); err != nil {
		return e, errors.New("it does not begin with a time")
	}
	quoted, err := strconv.QuotedPrefix(rest)
	if err != nil {
		return e, errors.New("it has no key")
	}
	e.key, _ = strconv.Unquote(quoted)
	value, err := strconv.Unquote(strings.TrimPrefix(rest[len(quoted):], " "))
	if err != nil {
		return e, errors.New("it has no value")
	}
	e.value = []byte(value)
	return e, nil
}
