package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	maxDelay = time.Minute
	// maxBody bounds the request body that / gives back, in bytes.
	maxBody = 1 << 20
)

// identity is what this backend says about itself. What is not known is empty.
type identity struct {
	name, node, namespace, ip, account, ingress, service string
}

func identityFrom(name string, getenv func(string) string) identity {
	return identity{
		name:      name,
		node:      getenv("NODE_NAME"),
		namespace: cmp.Or(getenv("POD_NAMESPACE"), getenv("NAMESPACE")),
		ip:        getenv("POD_IP"),
		account:   getenv("SERVICE_ACCOUNT"),
		ingress:   getenv("INGRESS_NAME"),
		service:   getenv("SERVICE_NAME"),
	}
}

// handler answers requests; any number at the same time.
type handler struct {
	identity
	// stopping ends when the process is asked to stop, and ends the WebSockets,
	// which nothing else does.
	stopping context.Context
	// sockets counts the open WebSockets: http.Server forgets a connection
	// that was hijacked.
	sockets sync.WaitGroup
}

// ServeHTTP chooses by the path as it came: a ServeMux would redirect // and /..,
// and an echo shows what arrived.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Echo-Name", h.name)
	action, argument, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	status, wanted := h.wantedStatus(r.Header.Values("X-Echo-Set-Status"))
	switch {
	case isGRPC(r):
		serveGRPC(w, r)
	case isWebSocket(r):
		h.serveWebSocket(w, r)
	case wanted:
		h.status(w, r, status)
	case r.URL.Path == "/":
		h.greet(w, r)
	case r.URL.Path == "/hostname":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, h.name)
	case action == "status" && argument != "":
		h.status(w, r, argument)
	case action == "delay" && argument != "":
		h.delay(w, r, argument)
	default:
		h.report(w, r, http.StatusOK)
	}
}

// greet gives the answer of Kong's go-echo: a line for each thing known of the
// backend, then the request's body and a newline.
func (h *handler) greet(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		refuse(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("body: %v; it is given back up to %d bytes", err, maxBody))
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	for _, line := range []struct{ format, value string }{
		{"Welcome, you are connected to node %s.\n", h.node},
		{"Running on Pod %s.\n", h.name},
		{"In namespace %s.\n", h.namespace},
		{"With IP address %s.\n", h.ip},
		{"Service account %s.\n", h.account},
	} {
		if line.value != "" {
			fmt.Fprintf(w, line.format, line.value)
		}
	}
	if r.TLS != nil {
		_, _ = io.WriteString(w, "Through HTTPS connection.\n")
	}
	_, _ = w.Write(append(body, '\n'))
}

// wantedStatus returns the status that lists of name=status have for this backend.
func (h *handler) wantedStatus(lists []string) (status string, wanted bool) {
	for _, list := range lists {
		for pair := range strings.SplitSeq(list, ",") {
			if name, status, _ := strings.Cut(strings.TrimSpace(pair), "="); name == h.name {
				return status, true
			}
		}
	}
	return "", false
}

func (h *handler) status(w http.ResponseWriter, r *http.Request, argument string) {
	code, err := strconv.Atoi(argument)
	if err != nil || code < 200 || code > 599 {
		refuse(w, http.StatusBadRequest, fmt.Sprintf("status %q is not in 200..599, as in /status/503", argument))
		return
	}
	h.report(w, r, code)
}

// delay waits before it reports, and gives up when the client has gone.
func (h *handler) delay(w http.ResponseWriter, r *http.Request, argument string) {
	seconds, err := strconv.ParseFloat(argument, 64)
	if err != nil || !(seconds >= 0 && seconds <= maxDelay.Seconds()) { // NaN is in no range
		refuse(w, http.StatusBadRequest, fmt.Sprintf("delay %q is not in 0..%v seconds, as in /delay/1.5", argument, maxDelay.Seconds()))
		return
	}
	// net/http sees that a client of HTTP/1.1 has gone only once the body is read.
	_, _ = io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxBody))
	timer := time.NewTimer(time.Duration(seconds * float64(time.Second)))
	defer timer.Stop()
	select {
	case <-timer.C:
		h.report(w, r, http.StatusOK)
	case <-r.Context().Done():
	}
}

// refuse answers a request that cannot be met.
func refuse(w http.ResponseWriter, code int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": message})
}
