package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A request is logged, and answered as without that.
func TestLog(t *testing.T) {
	var log bytes.Buffer
	h := logged(&handler{identity: identity{name: "a"}}, &log)
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/?q=1", strings.NewReader(strings.Repeat("x", maxLogged+1)))
	r.Header.Set("X-A", "1")
	h.ServeHTTP(w, r)
	if want := strings.Repeat("x", maxLogged+1); !strings.Contains(w.Body.String(), want) {
		t.Errorf("answered %s", w.Body)
	}
	want := `Echoing back request made to /?q=1 to client (192.0.2.1:1234) {"body":"` + strings.Repeat("x", maxLogged) +
		`","complete":true,"headers":{"X-A":["1"]},"host":"example.com","length":101,"method":"POST"}` + "\n"
	if log.String() != want {
		t.Errorf("logged %s", log.String())
	}
}
