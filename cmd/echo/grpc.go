package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The gRPC side is one service, grpc.health.v1.Health, in which the messages
// are a string and a small number: by hand that is shorter than a library.
// See "gRPC over HTTP/2" (grpc.io, doc/PROTOCOL-HTTP2.md) for the framing and
// grpc/health/v1/health.proto for the messages.

// Status codes of gRPC.
const (
	grpcOK            = 0
	grpcInvalid       = 3
	grpcNotFound      = 5
	grpcExhausted     = 8
	grpcUnimplemented = 12
	grpcUnavailable   = 14
)

// HealthCheckResponse.ServingStatus.
const (
	serving        = 1
	serviceUnknown = 3
)

const (
	healthService = "grpc.health.v1.Health"
	// maxGRPCMessage is plenty for the name of a service.
	maxGRPCMessage = 4 << 10
)

// A grpcError ends a call with a code and a message.
type grpcError struct {
	code    int
	message string
}

func (e *grpcError) Error() string { return e.message }

func isGRPC(r *http.Request) bool {
	kind, found := strings.CutPrefix(r.Header.Get("Content-Type"), "application/grpc")
	return found && r.ProtoMajor == 2 && (kind == "" || kind[0] == '+' || kind[0] == ';')
}

// serveGRPC answers a call. The status goes into the trailer, after whatever
// the call has sent.
func (h *handler) serveGRPC(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/grpc")
	end := &grpcError{code: grpcOK}
	if err := h.call(w, r); err != nil && !errors.As(err, &end) {
		end = &grpcError{code: grpcInvalid, message: err.Error()}
	}
	w.Header().Set(http.TrailerPrefix+"Grpc-Status", strconv.Itoa(end.code))
	if end.message != "" {
		w.Header().Set(http.TrailerPrefix+"Grpc-Message", percentEncode(end.message))
	}
	_ = http.NewResponseController(w).Flush() // a client that has gone misses nothing
}

func (h *handler) call(w http.ResponseWriter, r *http.Request) error {
	method, found := strings.CutPrefix(r.URL.Path, "/"+healthService+"/")
	if !found || method != "Check" && method != "Watch" {
		// Who is answered before its message has arrived gets a reset for the
		// message, which nginx takes for a failure of the whole.
		_, _ = readGRPCMessage(r.Body)
		return &grpcError{grpcUnimplemented, fmt.Sprintf("%s is not here; there are Check and Watch of %s", r.URL.Path, healthService)}
	}
	request, err := readGRPCMessage(r.Body)
	if err != nil {
		return err
	}
	service, err := serviceOf(request)
	if err != nil {
		return err
	}
	status := byte(serving)
	if service != "" && service != healthService {
		if method == "Check" {
			return &grpcError{grpcNotFound, fmt.Sprintf("service %q is not here", service)}
		}
		status = serviceUnknown
	}
	// A HealthCheckResponse: field 1, a varint. Before it the frame's prefix:
	// not compressed, two bytes long.
	if _, err := w.Write([]byte{0, 0, 0, 0, 2, 1 << 3, status}); err != nil || method == "Check" {
		return err
	}
	return h.watch(w, r)
}

// watch holds the stream open. The status that was sent never changes while
// the process runs.
func (h *handler) watch(w http.ResponseWriter, r *http.Request) error {
	stream := http.NewResponseController(w)
	if err := errors.Join(stream.SetWriteDeadline(time.Time{}), stream.Flush()); err != nil {
		return err
	}
	select {
	case <-r.Context().Done():
		return r.Context().Err()
	case <-h.stopping.Done():
		return &grpcError{grpcUnavailable, "this backend is stopping"}
	}
}

// readGRPCMessage reads one message: a byte that says whether it is
// compressed, its length in big-endian, and that many bytes.
func readGRPCMessage(r io.Reader) ([]byte, error) {
	var prefix [5]byte
	if _, err := io.ReadFull(r, prefix[:]); err != nil {
		return nil, fmt.Errorf("the request's message: %w", err)
	}
	if prefix[0] != 0 {
		return nil, &grpcError{grpcUnimplemented, "compressed messages are not read here"}
	}
	length := binary.BigEndian.Uint32(prefix[1:])
	if length > maxGRPCMessage {
		return nil, &grpcError{grpcExhausted, fmt.Sprintf("a message of %d bytes is longer than %d", length, maxGRPCMessage)}
	}
	message := make([]byte, length)
	if _, err := io.ReadFull(r, message); err != nil {
		return nil, fmt.Errorf("the request's message: %w", err)
	}
	return message, nil
}

// serviceOf finds field 1, a string, in a HealthCheckRequest and passes over
// fields that it does not know.
func serviceOf(message []byte) (service string, err error) {
	for len(message) > 0 {
		tag, n := binary.Uvarint(message)
		if n <= 0 {
			return "", errors.New("the request's message: a field's tag is broken")
		}
		message = message[n:]
		size, prefix := fieldSize(tag, message)
		if size < 0 || size > len(message)-prefix {
			return "", fmt.Errorf("the request's message: field %d is broken", tag>>3)
		}
		if tag == 1<<3|2 {
			service = string(message[prefix : prefix+size])
		}
		message = message[prefix+size:]
	}
	return service, nil
}

// fieldSize gives the size of a field's value and of the length before it;
// size is negative where rest cannot be the value of such a field.
func fieldSize(tag uint64, rest []byte) (size, prefix int) {
	value, n := binary.Uvarint(rest)
	switch wire := tag & 7; {
	case wire == 1:
		return 8, 0
	case wire == 5:
		return 4, 0
	case wire == 0 && n > 0:
		return n, 0
	case wire == 2 && n > 0 && value <= maxGRPCMessage:
		return int(value), n
	default:
		return -1, 0
	}
}

// percentEncode writes a Grpc-Message: printable ASCII but for %, the rest as
// %XX.
func percentEncode(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
