package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// Opcodes of RFC 6455 §5.2. From opClose on, a frame controls the connection.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA
)

// Close codes of RFC 6455 §7.4.1.
const (
	closeNormal    = 1000
	closeGoingAway = 1001
	closeProtocol  = 1002
	closeNoStatus  = 1005
	closeInvalid   = 1007
	closeTooBig    = 1009
)

const (
	maxControl = 125
	// maxHeader is the length of the longest header without a mask.
	maxHeader = 10
)

// A closeError ends a WebSocket with a close frame.
type closeError struct {
	code   int
	reason string // at most 123 bytes, so that the frame is a valid one
}

func (e *closeError) Error() string { return fmt.Sprintf("close %d: %s", e.code, e.reason) }

// payload is empty for closeNoStatus, which says that there was none.
func (e *closeError) payload() []byte {
	if e.code == closeNoStatus {
		return nil
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(e.code)), e.reason...)
}

// closeOf is the answer to a client's close frame: its own code, or
// closeProtocol when the frame is not a valid one.
func closeOf(payload []byte) error {
	if len(payload) == 0 {
		return &closeError{code: closeNoStatus}
	}
	if len(payload) == 1 {
		return &closeError{closeProtocol, "a close code of one byte"}
	}
	code := int(binary.BigEndian.Uint16(payload))
	if !sendable(code) {
		return &closeError{closeProtocol, fmt.Sprintf("close code %d is not to be sent", code)}
	}
	if !utf8.Valid(payload[2:]) {
		return &closeError{closeInvalid, "a close reason that is not UTF-8"}
	}
	return &closeError{code: code}
}

// sendable says whether a close code may appear in a frame: the registered
// ones but for those that stand for the absence of a frame, and the ranges of
// libraries and applications.
func sendable(code int) bool {
	switch {
	case code >= 1000 && code <= 1003, code >= 1007 && code <= 1014:
		return true
	default:
		return code >= 3000 && code <= 4999
	}
}

// A frame as the client sent it, without its mask.
type frame struct {
	final   bool
	opcode  byte
	payload []byte
}

// readFrame reads a client's frame whose payload is no longer than limit (0 or
// more) or, where it controls the connection, than maxControl. It takes memory
// for what has arrived, not for what a header announces. A frame that breaks
// the protocol is a closeError.
func readFrame(r io.Reader, limit int) (frame, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return frame{}, err
	}
	f := frame{final: head[0]&0x80 != 0, opcode: head[0] & 0x0F}
	if err := checkHead(f, head); err != nil {
		return frame{}, err
	}
	length, err := readLength(r, head[1]&0x7F)
	if err != nil {
		return frame{}, err
	}
	if f.opcode < opClose && length > uint64(limit) {
		return frame{}, &closeError{closeTooBig, fmt.Sprintf("a message is longer than %d bytes", maxMessage)}
	}
	var mask [4]byte
	if _, err := io.ReadFull(r, mask[:]); err != nil {
		return frame{}, unexpected(err)
	}
	var payload bytes.Buffer
	if _, err := io.CopyN(&payload, r, int64(length)); err != nil {
		return frame{}, unexpected(err)
	}
	f.payload = payload.Bytes()
	for i := range f.payload {
		f.payload[i] ^= mask[i%4]
	}
	return f, nil
}

// checkHead checks what the first two bytes of a frame say.
func checkHead(f frame, head [2]byte) error {
	control := f.opcode >= opClose
	switch {
	case head[0]&0x70 != 0:
		return &closeError{closeProtocol, "reserved bits are set, but no extension was agreed on"}
	case f.opcode > opBinary && !control, f.opcode > opPong:
		return &closeError{closeProtocol, fmt.Sprintf("opcode %#x is reserved", f.opcode)}
	case head[1]&0x80 == 0:
		return &closeError{closeProtocol, "a client has to mask its frames"}
	case control && !f.final:
		return &closeError{closeProtocol, "a control frame in fragments"}
	case control && head[1]&0x7F > maxControl:
		return &closeError{closeProtocol, fmt.Sprintf("a control frame longer than %d bytes", maxControl)}
	default:
		return nil
	}
}

// readLength reads what follows the short length of a frame's second byte. A
// length has to be written in the shortest of its three forms.
func readLength(r io.Reader, short byte) (uint64, error) {
	var extended [8]byte
	var least uint64
	var size int
	switch short {
	default:
		return uint64(short), nil
	case 126:
		size, least = 2, 126
	case 127:
		size, least = 8, 1<<16
	}
	if _, err := io.ReadFull(r, extended[8-size:]); err != nil {
		return 0, unexpected(err)
	}
	length := binary.BigEndian.Uint64(extended[:])
	if length < least || length > 1<<63-1 {
		return 0, &closeError{closeProtocol, fmt.Sprintf("length %d is written in %d bytes", length, size)}
	}
	return length, nil
}

// unexpected turns the end of the stream within a frame into an error that
// says so.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// appendFrame appends a server's frame: final and, as servers do, not masked.
func appendFrame(dst []byte, opcode byte, payload []byte) []byte {
	dst = append(dst, 0x80|opcode)
	switch n := len(payload); {
	case n <= maxControl:
		dst = append(dst, byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, 126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 127), uint64(n))
	}
	return append(dst, payload...)
}
