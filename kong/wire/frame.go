// Package wire owns what both sides of Kong's plugin server protocol have to
// agree on: the frames (a length of four bytes, little-endian, and that many
// bytes), and the one list of the PDK's methods that are called in them.
package wire

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// MaxFrame is the longest body that ReadFrame takes, in bytes. The longest that
// Kong sends are replies with the body of a request or of a response.
const MaxFrame = 16 << 20

const (
	// header is how many bytes a frame's length takes.
	header = 4
	// growth is how many bytes ReadFrame makes room for before any arrive. After that it
	// makes room for as many again as have arrived.
	growth = 4 << 10
)

// AppendFrame appends body, as one frame, to dst.
func AppendFrame(dst, body []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(body)))
	return append(dst, body...)
}

// ReadFrame reads one frame from r and returns its body, in buf's memory where
// that is large enough. What buf holds is lost.
//
// It returns io.EOF where r ends before a frame, and io.ErrUnexpectedEOF where
// it ends within one. Memory grows only with the bytes that really arrive: a
// length that nothing follows costs 4 KiB.
func ReadFrame(r io.Reader, buf []byte) ([]byte, error) {
	buf = slices.Grow(buf[:0], header)[:header]
	if _, err := io.ReadFull(r, buf); err != nil {
		return nil, err
	}
	length := binary.LittleEndian.Uint32(buf)
	if length > MaxFrame {
		return nil, fmt.Errorf("frame of %d bytes is longer than the %d that are allowed", length, MaxFrame)
	}
	buf = buf[:0]
	for rest := int(length); rest > 0; rest = int(length) - len(buf) {
		arrived := len(buf)
		next := min(rest, max(growth, arrived, cap(buf)-arrived))
		buf = slices.Grow(buf, next)[:arrived+next]
		_, err := io.ReadFull(r, buf[arrived:])
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
	}
	return buf, nil
}
