package standin

import (
	"bytes"
	"io"
	"os"
)

// bodyBuffer is nginx's client_body_buffer_size, as Kong has it by default: a body that is
// longer is in a file.
const bodyBuffer = 8 << 10

// getRawBody waits until the client has sent all of the body. It is a RawBodyResult: 1 is the
// content, 2 the path of a file. Kong has an error instead where HTTP/2 lacks a length.
func getRawBody(x *exchange, _ none) (any, error) {
	if x.body == nil {
		if x.r.ProtoMajor > 1 && x.r.ContentLength < 0 {
			return nil, raise("http2 requests are not supported without content-length header")
		}
		body, err := io.ReadAll(x.r.Body)
		if err != nil { // nginx ends the request
			return nil, failed{"client prematurely closed connection"}
		}
		if err := x.keepBody(body); err != nil {
			return nil, raise("%v", err)
		}
	}
	if x.bodyFile != "" {
		return appendText(nil, 2, string(x.bodyFile)), nil
	}
	return appendBytes(nil, 1, x.body), nil
}

// keepBody keeps a body for the Service, and in a file where it is long.
func (x *exchange) keepBody(body []byte) error {
	x.body = body
	x.r.Body = io.NopCloser(bytes.NewReader(body))
	if len(body) <= bodyBuffer {
		return nil
	}
	file, err := os.CreateTemp("", "standin-body-")
	if err != nil {
		return err
	}
	x.bodyFile = bodyFile(file.Name())
	x.hold(x.bodyFile)
	_, err = file.Write(body)
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	return err
}

// bodyFile is the path of a file with a body. Close removes it.
type bodyFile string

func (f bodyFile) Close() error { return os.Remove(string(f)) }
