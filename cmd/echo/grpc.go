package main

import (
	"io"
	"net/http"
	"strconv"
	"strings"
)

// The gRPC side is one method, grpc.health.v1.Health/Check, with always the
// same answer: by hand that is shorter than a library. See "gRPC over HTTP/2"
// (grpc.io, doc/PROTOCOL-HTTP2.md) and grpc/health/v1/health.proto.

const healthCheck = "/grpc.health.v1.Health/Check"

// Status codes of gRPC.
const (
	grpcOK            = 0
	grpcUnimplemented = 12
)

// serving is a HealthCheckResponse whose status is SERVING: field 1, a varint.
// Before it the prefix of a message: not compressed, two bytes long.
var serving = []byte{0, 0, 0, 0, 2, 1 << 3, 1}

// isGRPC reports whether the request is a call of gRPC (and not of grpc-web).
func isGRPC(r *http.Request) bool {
	kind, found := strings.CutPrefix(r.Header.Get("Content-Type"), "application/grpc")
	return found && r.ProtoMajor == 2 && (kind == "" || kind[0] == '+' || kind[0] == ';')
}

// serveGRPC answers a call: whatever service is asked for is serving, with the status in
// the trailer. An unknown method is answered without a message, with the status in the
// header, as servers of gRPC do ("Trailers-Only").
func serveGRPC(w http.ResponseWriter, r *http.Request) {
	// A call that is answered before its message has arrived gets a reset for
	// the message, which nginx takes for a failure of the whole.
	_, _ = io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxBody))
	w.Header().Set("Content-Type", "application/grpc")
	if r.URL.Path != healthCheck {
		w.Header().Set("Grpc-Message", "there is only "+healthCheck+" here")
		w.Header().Set("Grpc-Status", strconv.Itoa(grpcUnimplemented))
		return
	}
	_, _ = w.Write(serving)
	w.Header().Set(http.TrailerPrefix+"Grpc-Status", strconv.Itoa(grpcOK))
	_ = http.NewResponseController(w).Flush() // a client that has gone misses nothing
}
