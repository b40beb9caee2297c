package main

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGRPC(t *testing.T) {
	s := start(t, nil, "-name", "echo")
	for _, c := range []struct {
		name, path, request string
		response            string
		trailer             http.Header
	}{
		{"the server", healthCheck, "\x00\x00\x00\x00\x00", string(serving), http.Header{"Grpc-Status": {"0"}}},
		{"a service", healthCheck, "\x00\x00\x00\x00\x06\x0a\x04shop", string(serving), http.Header{"Grpc-Status": {"0"}}},
		{
			"another method", "/shop.Cart/Add", "\x00\x00\x00\x00\x00", "",
			http.Header{"Grpc-Status": {"12"}, "Grpc-Message": {"there is only /grpc.health.v1.Health/Check here"}},
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
			sent := response.Trailer
			if body == "" { // without a message, they are in the header
				sent = http.Header{"Grpc-Status": response.Header["Grpc-Status"], "Grpc-Message": response.Header["Grpc-Message"]}
			}
			if diff := cmp.Diff(c.trailer, sent); diff != "" {
				t.Errorf("status (-want +got)\n%s", diff)
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
		_, body := fetch(t, c.client, http.MethodPost, "http://"+s.address+healthCheck, "", "Content-Type", c.contentType)
		checkAnswer(t, healthCheck, "", body, true)
	}
}
