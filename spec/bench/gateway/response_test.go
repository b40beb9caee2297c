package gateway

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestReadResponse(t *testing.T) {
	for _, tt := range []struct {
		name, bytes  string
		status       int
		body, cookie string
	}{
		{
			name: "by its length", status: 200, body: "a x", cookie: "s=1; Path=/",
			bytes: "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\ncontent-LENGTH: 3\r\nSet-Cookie: s=1; Path=/\r\n\r\na x",
		},
		{name: "nothing", status: 200, bytes: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
		{
			name: "chunks", status: 500, body: "0123456789abcdef!",
			bytes: "HTTP/1.1 500 Internal Server Error\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n0123456789abcdef\r\n1\r\n!\r\n0\r\n\r\n",
		},
		{name: "no chunk", status: 200, bytes: "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n0\r\n\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for cut := range len(tt.bytes) {
				if _, err := readResponse([]byte(tt.bytes[:cut])); err != errShort {
					t.Fatalf("%q: %v, want %v", tt.bytes[:cut], err, errShort)
				}
			}
			r, err := readResponse([]byte(tt.bytes + "next"))
			if err != nil {
				t.Fatal(err)
			}
			cookie, _ := r.header("set-cookie")
			got := []any{r.status, string(r.body), string(cookie), r.size}
			if diff := cmp.Diff([]any{tt.status, tt.body, tt.cookie, len(tt.bytes)}, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestGarbageIsNoResponse(t *testing.T) {
	for _, tt := range []struct{ bytes, want string }{
		{"SSH-2.0-OpenSSH\r\n\r\n", `no response of HTTP/1.1: "SSH-2.0-OpenSSH"`},
		{"HTTP/1.1\r\n\r\n", `no response of HTTP/1.1: "HTTP/1.1"`},
		{"HTTP/1.1 OK!\r\n\r\n", `no status in "HTTP/1.1 OK!"`},
		{"HTTP/1.1 204 No Content\r\n\r\n", `a response has neither a Content-Length nor chunks: "HTTP/1.1 204 No Content\r\n"`},
		{"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", `Content-Length "-1" is not in 0..16384`},
		{"HTTP/1.1 200 OK\r\nContent-Length: 16385\r\n\r\n", `Content-Length "16385" is not in 0..16384`},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", `a chunk's length "x" is not in 0..4000`},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", "a chunk of 1 bytes is longer than that"},
		{strings.Repeat("x", maxResponse), "no end of a response's head in 16384 bytes"},
	} {
		_, err := readResponse([]byte(tt.bytes))
		if err == nil || err.Error() != tt.want {
			t.Errorf("%.40q: got %v, want %s", tt.bytes, err, tt.want)
		}
	}
}

// Whatever comes, no byte is read that is not there.
func TestAnyBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		head := rapid.SampledFrom([]string{"", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"}).Draw(t, "head")
		tail := rapid.StringOf(rapid.SampledFrom([]rune("\r\n0123f:xX"))).Draw(t, "tail")
		all := []byte(head + tail)
		if r, err := readResponse(all); err == nil && (r.size > len(all) || len(r.body) > len(all)) {
			t.Errorf("%q: %d bytes, body %q", all, r.size, r.body)
		}
	})
}
