package doctor

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// A proxy that hangs ends the sending after the first requests, and is told.
func TestHanging(t *testing.T) {
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("then") == "504" { // as Kong does where a backend hangs
			time.Sleep(50 * time.Millisecond)
			w.WriteHeader(http.StatusGatewayTimeout)
			return
		}
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer s.Close()
	defer close(release)
	for path, want := range map[string]string{
		"/":          "no answer",
		"/?then=504": "504",
	} {
		f := sound(t)
		f.servers, f.Send = nil, &Send{Requests: 100_000, Proxy: s.URL, Path: path}
		f.sent = f.Send.run(context.Background(), f, 100*time.Millisecond, 50*time.Millisecond)
		var got []string
		for _, finding := range f.diagnose().Findings {
			if finding.Check == "send" {
				got = append(got, finding.Message)
			}
		}
		told := len(got) == 2 && strings.Contains(got[0], "of 100000 requests were sent: one has failed after 50ms or more, and each of the others might take as long") && strings.Contains(got[1], "requests got "+want)
		if n := f.sent.requests; !told || n < 1 || n > 4*sendTogether {
			t.Errorf("%s: %d sent, found %q", path, n, got)
		}
	}
}
