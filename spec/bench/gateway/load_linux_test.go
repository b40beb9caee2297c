package gateway

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// Every connection has one request under way, and each response is looked at, however
// it arrives.
func TestLoad(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.URL.Path[:4])
		_ = http.NewResponseController(w).Flush() // so the rest is another chunk
		_, _ = io.WriteString(w, r.URL.Path[4:])
	}))
	defer server.Close()
	l, err := newLoad(server.Listener.Addr().String(), 4, []byte("GET /orders HTTP/1.1\r\nHost: x\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	enough := errors.New("enough")
	n := 0
	err = l.run(t.Context(), time.Hour, func(r *response, took time.Duration) error {
		if r.status != 200 || string(r.body) != "/orders" || took <= 0 {
			return fmt.Errorf("%d %q after %v", r.status, r.body, took)
		}
		if n++; n == 200 {
			return enough
		}
		return nil
	})
	if err != enough {
		t.Error(err)
	}
	if err := l.close(); err != nil {
		t.Error(err)
	}
}

func TestLoadSaysThatItsConnectionWasClosed(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
	}))
	defer server.Close()
	l, err := newLoad(server.Listener.Addr().String(), 1, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	err = l.run(t.Context(), time.Hour, func(*response, time.Duration) error { return nil })
	if err == nil { // by an end or a reset, as the system has it
		t.Error("it went on")
	}
}

func TestProcessWithoutWorkers(t *testing.T) {
	_, err := onlyWorker(os.Getpid())
	want := fmt.Sprintf("process %d has the workers [], not one", os.Getpid())
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// What was started is ended, and what failed is told.
func TestKongThatCannotStart(t *testing.T) {
	var log strings.Builder
	_, err := run(t.Context(), Options{Kong: "/nonexistent/kong", Round: time.Second, Rounds: 1, Log: &log}, func(ports []int) []contestant {
		return contestants(ports)[:1]
	})
	want := "kong start: fork/exec /nonexistent/kong: no such file or directory\n"
	if err == nil || err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	_, dir, _ := strings.Cut(strings.TrimSpace(log.String()), "the logs are in ")
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
}
