package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// maxResponse is how long a response may be, in bytes, with its head.
const maxResponse = 16 << 10

// A response is one that is complete. Its slices are of the buffer that it was read
// from.
type response struct {
	status int
	head   []byte // with the status line
	body   []byte
	size   int // how many bytes all of it is
}

// errShort is that more of a response has to come.
var errShort = errors.New("the response is not complete")

// readResponse reads a response at the start of buf; errShort where its end is not
// there yet.
func readResponse(buf []byte) (response, error) {
	end := bytes.Index(buf, []byte("\r\n\r\n"))
	if end < 0 {
		if len(buf) >= maxResponse {
			return response{}, fmt.Errorf("no end of a response's head in %d bytes", len(buf))
		}
		return response{}, errShort
	}
	r := response{head: buf[:end+2]}
	if !bytes.HasPrefix(buf, []byte("HTTP/1.1 ")) || len(buf) < 12 {
		return response{}, fmt.Errorf("no response of HTTP/1.1: %q", firstLine(buf))
	}
	var err error
	if r.status, err = strconv.Atoi(string(buf[9:12])); err != nil {
		return response{}, fmt.Errorf("no status in %q", firstLine(buf))
	}
	rest := buf[end+4:]
	length, has := r.header("content-length")
	if !has {
		if coding, _ := r.header("transfer-encoding"); !bytes.EqualFold(coding, []byte("chunked")) {
			return response{}, fmt.Errorf("a response has neither a Content-Length nor chunks: %q", r.head)
		}
		return readChunks(r, buf, end+4)
	}
	n, err := strconv.ParseUint(string(length), 10, 32)
	if err != nil || n > maxResponse {
		return response{}, fmt.Errorf("Content-Length %q is not in 0..%d", length, maxResponse)
	}
	if uint64(len(rest)) < n {
		return response{}, errShort
	}
	r.body, r.size = rest[:n], end+4+int(n)
	return r, nil
}

// readChunks reads a body in chunks that begins at a place of buf.
func readChunks(r response, buf []byte, at int) (response, error) {
	for {
		line := bytes.Index(buf[at:], []byte("\r\n"))
		if line < 0 {
			return response{}, errShort
		}
		n, err := strconv.ParseUint(string(buf[at:at+line]), 16, 32)
		if err != nil || n > maxResponse {
			return response{}, fmt.Errorf("a chunk's length %q is not in 0..%x", buf[at:at+line], maxResponse)
		}
		at += line + 2
		if len(buf)-at < int(n)+2 {
			return response{}, errShort
		}
		if end := at + int(n); !bytes.Equal(buf[end:end+2], []byte("\r\n")) {
			return response{}, fmt.Errorf("a chunk of %d bytes is longer than that", n)
		}
		switch {
		case n == 0:
			r.size = at + 2
			return r, nil
		case r.body != nil:
			r.body = append(bytes.Clone(r.body), buf[at:at+int(n)]...)
		default:
			r.body = buf[at : at+int(n)]
		}
		at += int(n) + 2
	}
}

// header is the first value of a header, whose name is given in lower case.
func (r *response) header(name string) (value []byte, has bool) {
	for rest := r.head; ; {
		line := bytes.Index(rest, []byte("\r\n"))
		if line < 0 {
			return nil, false
		}
		if line > len(name) && rest[len(name)] == ':' && equalLower(rest[:len(name)], name) {
			return bytes.TrimSpace(rest[len(name)+1 : line]), true
		}
		rest = rest[line+2:]
	}
}

func equalLower(b []byte, lower string) bool {
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

func firstLine(b []byte) []byte {
	line, _, _ := bytes.Cut(b, []byte("\r\n"))
	return line
}
