// Package wire owns the frames of Kong's plugin server protocol, as either
// side of it reads and writes them: a length of four bytes, little-endian, and
// that many bytes. It knows nothing of what a frame says.
package wire

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// MaxFrame is the longest body that ReadFrame takes, in bytes. The longest that
// Kong sends are the answers that hold a request's body, or a response's.
const MaxFrame = 16 << 20

const (
	// header is the number of bytes that tell a frame's length.
	header = 4
	// growth is how many bytes ReadFrame makes room for before any arrive; after that, as
	// many again as have arrived.
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
		have := len(buf)
		next := min(rest, max(growth, have, cap(buf)-have))
		buf = slices.Grow(buf, next)[:have+next]
		_, err := io.ReadFull(r, buf[have:])
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
	}
	return buf, nil
}
