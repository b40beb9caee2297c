package status

import (
	"compress/gzip"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/split"
)

// slow is a client who asks for a page and reads nothing of it until it is let.
type slow struct {
	*httptest.ResponseRecorder
	read     chan struct{}
	deadline time.Time
	text     []byte // what it is to read: the server's, not a copy
}

func newSlow() *slow {
	return &slow{ResponseRecorder: httptest.NewRecorder(), read: make(chan struct{})}
}

func (s *slow) Write(text []byte) (int, error) {
	s.text = text
	<-s.read
	return s.ResponseRecorder.Write(text)
}

func (s *slow) SetWriteDeadline(at time.Time) error {
	s.deadline = at
	return nil
}

// come has a client ask h for path, without waiting for the answer.
func come(h http.Handler, path string, header ...string) *slow {
	s := newSlow()
	r := httptest.NewRequest("GET", "http://localhost"+path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	go h.ServeHTTP(s, r)
	synctest.Wait()
	return s
}

// counted is a handler with many rows, and how often it has looked at them.
func counted(rows int) (http.Handler, *atomic.Int32) {
	s := source()
	var looked atomic.Int32
	s.Splits = func(time.Time) []plugin.SplitStatus {
		looked.Add(1)
		all := make([]plugin.SplitStatus, rows)
		for i := range all {
			all[i] = plugin.SplitStatus{Split: fmt.Sprintf("row-%d", i), Backends: []plugin.BackendStatus{
				{Name: "a", Share: 1, Up: new(true), Requests: map[split.Reason]uint64{split.ByWeight: uint64(i)}},
			}}
		}
		return all
	}
	return Handler(s, slog.New(slog.DiscardHandler)), &looked
}

// However many read slowly, there is one text for those of the same second, and two in
// all; and who comes in between is answered.
func TestSlowReadersShareAText(t *testing.T) {
	for _, path := range []string{"/metrics", "/status"} {
		synctest.Test(t, func(t *testing.T) {
			h, looked := counted(500)
			var readers []*slow
			for round, want := range []int32{1, 2, 2, 2} { // the third second has the second one's
				for range 32 {
					readers = append(readers, come(h, path))
				}
				if n := looked.Load(); n != want {
					t.Fatalf("%s: after %d seconds the rows were looked at %d times, want %d", path, round, n, want)
				}
				time.Sleep(fresh)
			}
			texts := map[*byte]bool{}
			for i, s := range readers {
				texts[&s.text[0]] = true
				if want := time.Now().Add(-time.Duration(4-i/32) * fresh).Add(writeTime); !s.deadline.Equal(want) {
					t.Errorf("%s: reader %d has until %v, want %v", path, i, s.deadline, want)
				}
			}
			if len(texts) != 2 {
				t.Errorf("%s: there are %d texts", path, len(texts))
			}
			for _, s := range readers {
				close(s.read)
			}
			synctest.Wait()
			for _, s := range readers {
				if s.Code != 200 || s.Body.Len() != len(s.text) {
					t.Errorf("%s: %d, %d bytes of %d", path, s.Code, s.Body.Len(), len(s.text))
				}
			}
			close(come(h, path).read) // nobody reads any more: what it gets is of this moment
			if n := looked.Load(); n != 3 {
				t.Errorf("%s: the rows were looked at %d times, want 3", path, n)
			}
		})
	}
}

// As soon as nobody reads an older text, there is a newer one.
func TestTheNewestTextIsNotOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, looked := counted(1)
		first := come(h, "/metrics")
		time.Sleep(fresh)
		second := come(h, "/metrics")
		time.Sleep(fresh)
		close(first.read)
		synctest.Wait()
		third := come(h, "/metrics")
		if n := looked.Load(); n != 3 {
			t.Errorf("the rows were looked at %d times, want 3", n)
		}
		close(second.read)
		close(third.read)
	})
}

// The compressed text is shared like the plain one.
func TestCompressedTextIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, looked := counted(500)
		plain := come(h, "/metrics")
		one, two := come(h, "/metrics", "Accept-Encoding", "br, gzip"), come(h, "/metrics", "Accept-Encoding", "gzip;q=0.5")
		if &one.text[0] != &two.text[0] || &one.text[0] == &plain.text[0] || looked.Load() != 1 {
			t.Error("the compressed text is not shared")
		}
		for _, s := range []*slow{plain, one, two} {
			close(s.read)
		}
		synctest.Wait()
		unzipped, err := gzip.NewReader(one.Body)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(unzipped)
		if err != nil || string(text) != plain.Body.String() || one.Header().Get("Content-Encoding") != "gzip" {
			t.Errorf("%v, %d bytes: not the plain text", err, len(text))
		}
		refused := come(h, "/metrics", "Accept-Encoding", "gzip;q=0")
		close(refused.read)
		synctest.Wait()
		if refused.Header().Get("Content-Encoding") != "" {
			t.Error("compressed for one who does not take it")
		}
	})
}

// Where making the text panics, nobody who waits for it stays.
func TestAPanicLeavesNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inside := make(chan struct{})
		p := &page{write: func(io.Writer) error {
			<-inside
			panic("ouch")
		}}
		go func() {
			defer func() { _ = recover() }()
			p.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		}()
		synctest.Wait()
		waiting := newSlow()
		close(waiting.read)
		go p.ServeHTTP(waiting, httptest.NewRequest("GET", "/", nil))
		synctest.Wait()
		close(inside)
		synctest.Wait()
		if waiting.Code != 500 || p.newest != nil || p.alive != 0 {
			t.Errorf("got %d; left are %v, %d", waiting.Code, p.newest, p.alive)
		}
	})
}

// Only names that cannot be another site's are answered.
func TestHosts(t *testing.T) {
	s := source()
	s.Hosts = []string{"Split.example.com.", "0.0.0.0", ""}
	h := Handler(s, slog.New(slog.DiscardHandler))
	for host, want := range map[string]int{
		"127.0.0.1:8007": 200, "10.1.2.3": 200, "[::1]:8007": 200, "[::1]": 200, "localhost:8007": 200, "LOCALHOST": 200,
		"traffic-split:8007": 200, "kong": 200, "": 200,
		"split.example.com:8007": 200, "SPLIT.example.com": 200, "split.example.com.:8007": 200,
		"evil.example.com:8007": 421, "rebind.evil:8007": 421, "split.example.com.evil": 421, "127.0.0.1.evil:8007": 421, "localhost.evil": 421, "a.b:c:d": 421,
	} {
		for _, path := range []string{"/status", "/metrics", "/"} {
			r := httptest.NewRequest("GET", "http://localhost"+path, nil)
			r.Host = host // empty: it is of HTTP/1.0
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if got := w.Code; got != want && !(path == "/" && want == 200 && got == 404) {
				t.Errorf("%s on %q: %d, want %d", path, host, got, want)
			} else if want == 421 && !strings.Contains(w.Body.String(), "-status-host") {
				t.Errorf("on %q: %s", host, w.Body)
			}
		}
	}
}
