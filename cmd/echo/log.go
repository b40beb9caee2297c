package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
)

// maxLogged is how much of a body is in a line of the log, in bytes.
const maxLogged = 100

// logged returns h with a line for each request, once all of its body is there: its beginning
// is that of Gateway API's echo-basic, for which the API's own tests look.
func logged(h http.Handler, to io.Writer) http.Handler {
	var mu sync.Mutex
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isGRPC(r) || isWebSocket(r) { // which may wait for an answer before they send more
			h.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		line, _ := json.Marshal(map[string]any{ // strings and numbers always encode
			"method": r.Method, "host": r.Host, "headers": r.Header, "length": len(body), "body": string(body[:min(len(body), maxLogged)]), "complete": err == nil,
		})
		mu.Lock()
		fmt.Fprintf(to, "Echoing back request made to %s to client (%s) %s\n", r.RequestURI, r.RemoteAddr, line)
		mu.Unlock()
		h.ServeHTTP(w, r)
	})
}
