package standin

import (
	"bytes"
	"io"
	"net/http"
	"os"
)

// bodyBuffer is how much of a request's body nginx keeps in memory
// (client_body_buffer_size).
const bodyBuffer = 8 << 10

// readBody reads the request's body, as kong.request.get_raw_body does. A body
// that is longer than nginx's buffer goes to a file, whose path is returned
// instead.
func (x *exchange) readBody() (content []byte, file string, err error) {
	if x.bodyFile != "" {
		return nil, x.bodyFile, nil
	}
	head, err := io.ReadAll(io.LimitReader(x.body, bodyBuffer+1))
	if err != nil {
		return nil, "", err
	}
	if len(head) <= bodyBuffer {
		x.setBody(head)
		return head, "", nil
	}
	f, err := x.gateway.spool(io.MultiReader(bytes.NewReader(head), x.body))
	if err != nil {
		return nil, "", err
	}
	x.hold(f)
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, "", err
	}
	x.body, x.length, x.bodyFile = io.NewSectionReader(f, 0, size), size, f.Name()
	return nil, x.bodyFile, nil
}

// setBody replaces the request's body.
func (x *exchange) setBody(content []byte) {
	x.bodyFile = ""
	x.length, x.body = int64(len(content)), bytes.NewReader(content)
	if len(content) == 0 {
		x.body = http.NoBody
	}
}

// spool writes a body to a file, which is deleted when it is closed.
func (g *Gateway) spool(body io.Reader) (*spooled, error) {
	if err := os.MkdirAll(g.temporary(), 0o700); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(g.temporary(), "")
	if err != nil {
		return nil, err
	}
	s := &spooled{f}
	if _, err := io.Copy(f, body); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

type spooled struct{ *os.File }

// Close deletes the file, too.
func (s *spooled) Close() error {
	_ = os.Remove(s.Name()) // somebody else may have been faster
	return s.File.Close()
}
