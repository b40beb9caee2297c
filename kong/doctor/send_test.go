package doctor

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A proxy that hangs ends the sending after the first requests, and is told; so is one by which
// each request fails after a part of the time that it may take, or each second one.
func TestHanging(t *testing.T) {
	release := make(chan struct{})
	var count atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch then := r.URL.Query().Get("then"); {
		case then == "200" && count.Add(1)%2 == 0:
			return
		case then != "": // as Kong does where a backend hangs
			time.Sleep(20 * time.Millisecond)
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
		"/?then=200": "504",
	} {
		f := sound(t)
		f.servers, f.Send = nil, &Send{Requests: 100_000, Proxy: s.URL, Path: path}
		f.sent = f.Send.run(context.Background(), f, 100*time.Millisecond)
		var got []string
		for _, finding := range f.diagnose().Findings {
			if finding.Check == "send" {
				got = append(got, finding.Message)
			}
		}
		told := len(got) >= 2 && strings.Contains(got[0], "of 100000 requests were sent: those that failed have taken 100ms together, and the others might take as long") && strings.Contains(got[1], "requests got "+want)
		if n := f.sent.requests; !told || n < 1 || n > 4*sendTogether {
			t.Errorf("%s: %d sent, found %q", path, n, got)
		}
	}
}
