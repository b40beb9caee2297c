package main

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// serveHTTP runs a server on a free port of the loopback until the test ends.
func serveHTTP(t *testing.T, server *http.Server) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Close()
		<-served
	})
	return listener.Addr().String()
}

// grpcFrame puts the prefix of a gRPC message before it.
func grpcFrame(message string) string {
	prefix := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))
	return string(prefix) + message
}

const (
	servingFrame        = "\x00\x00\x00\x00\x02\x08\x01"
	serviceUnknownFrame = "\x00\x00\x00\x00\x02\x08\x03"
)

func TestGRPCCheck(t *testing.T) {
	s := start(t, nil, "-name", "echo")
	const check = "/grpc.health.v1.Health/Check"
	for _, c := range []struct {
		name, path, request string
		response            string
		code, message       string
	}{
		{"the server", check, grpcFrame(""), servingFrame, "0", ""},
		{"this service", check, grpcFrame("\x0a\x15grpc.health.v1.Health"), servingFrame, "0", ""},
		{"fields of the future", check, grpcFrame("\x10\x96\x01\x0a\x00\x1d1234\x2112345678\x2a\x02hi"), servingFrame, "0", ""},
		{"another service", check, grpcFrame("\x0a\x04shop"), "", "5", `service "shop" is not here`},
		{"a name in Unicode", check, grpcFrame("\x0a\x04é%\n"), "", "5", `service "%C3%A9%25\n" is not here`},
		{"no message", check, "", "", "3", "the request's message: EOF"},
		{"half a prefix", check, "\x00\x00", "", "3", "the request's message: unexpected EOF"},
		{"half a message", check, "\x00\x00\x00\x00\x04\x0a", "", "3", "the request's message: unexpected EOF"},
		{"a compressed message", check, "\x01\x00\x00\x00\x00", "", "12", "compressed messages are not read here"},
		{"a message of 4 GiB", check, "\x00\xff\xff\xff\xff", "", "8", "a message of 4294967295 bytes is longer than 4096"},
		{"a broken tag", check, grpcFrame("\xff"), "", "3", "the request's message: a field's tag is broken"},
		{"a string longer than its message", check, grpcFrame("\x0a\x05shop"), "", "3", "the request's message: field 1 is broken"},
		{"a string of 16 EiB", check, grpcFrame("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "", "3", "the request's message: field 1 is broken"},
		{"a group", check, grpcFrame("\x0b\x0c"), "", "3", "the request's message: field 1 is broken"},
		{
			"another method", "/shop.Cart/Add", grpcFrame(""), "", "12",
			"/shop.Cart/Add is not here; there are Check and Watch of grpc.health.v1.Health",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			response, body := fetch(t, h2c(t), http.MethodPost, "http://"+s.address+c.path, c.request,
				"Content-Type", "application/grpc", "TE", "trailers")
			if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "application/grpc" {
				t.Errorf("%s, Content-Type %q", response.Status, response.Header.Get("Content-Type"))
			}
			if body != c.response {
				t.Errorf("message %q, want %q", body, c.response)
			}
			want := http.Header{"Grpc-Status": {c.code}}
			if c.message != "" {
				want.Set("Grpc-Message", c.message)
			}
			if diff := cmp.Diff(want, response.Trailer); diff != "" {
				t.Errorf("trailer (-want +got)\n%s", diff)
			}
			if got := response.Header.Get("X-Echo-Name"); got != "echo" {
				t.Errorf("X-Echo-Name %q", got)
			}
		})
	}
}

// What is not gRPC gets a report, as any other request.
func TestNotGRPC(t *testing.T) {
	s := start(t, nil)
	for _, c := range []struct {
		client      *http.Client
		contentType string
	}{{http1(t), "application/grpc"}, {h2c(t), "application/grpc-web"}, {h2c(t), "application/json"}} {
		_, body := fetch(t, c.client, http.MethodPost, "http://"+s.address+"/grpc.health.v1.Health/Check", "", "Content-Type", c.contentType)
		checkAnswer(t, "/grpc.health.v1.Health/Check", "", body, true)
	}
}

// A watch says once what there is to say and ends when the backend stops.
func TestGRPCWatch(t *testing.T) {
	for _, c := range []struct{ name, request, response string }{
		{"the server", "", servingFrame},
		{"another service", "\x0a\x04shop", serviceUnknownFrame},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, nil)
			url := "http://" + s.address + "/grpc.health.v1.Health/Watch"
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(grpcFrame(c.request)))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", "application/grpc+proto")
			response, err := h2c(t).Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			message := make([]byte, len(c.response))
			if _, err := io.ReadFull(response.Body, message); err != nil || string(message) != c.response {
				t.Fatalf("message %q, %v; want %q", message, err, c.response)
			}
			s.cancel()
			rest, err := io.ReadAll(response.Body)
			if err != nil || len(rest) > 0 {
				t.Errorf("after the message: %q, %v", rest, err)
			}
			want := http.Header{"Grpc-Status": {"14"}, "Grpc-Message": {"this backend is stopping"}}
			if diff := cmp.Diff(want, response.Trailer); diff != "" {
				t.Errorf("trailer (-want +got)\n%s", diff)
			}
			if code := s.stop(); code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
		})
	}
}

func FuzzGRPCMessage(f *testing.F) {
	f.Add([]byte(grpcFrame("\x0a\x04shop")))
	f.Add([]byte(grpcFrame("\x10\x96\x01\x0a\x00\x1d1234\x2112345678")))
	f.Fuzz(func(t *testing.T, b []byte) {
		message, err := readGRPCMessage(bytes.NewReader(b))
		if err != nil {
			return
		}
		service, err := serviceOf(message)
		if err == nil && !bytes.Contains(message, []byte(service)) {
			t.Errorf("service %q is not in %q", service, message)
		}
	})
}
