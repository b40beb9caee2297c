package status

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// fresh is for how long requests share a text that is still being read.
	fresh = time.Second
	// maxEditions is how many texts of a page may exist: the newest one, and an older
	// one that a slow client still reads.
	maxEditions = 2
	// writeTime is how long a client may take to read a text, so that slow clients
	// cannot keep an old text for ever.
	writeTime = 10 * time.Second
)

// A page is a text that is made on request. Requests that come while it is made, or soon
// after that while a client still reads it, share it: time and memory do not grow with the
// number of clients, however slowly they read. When no client reads it, it is dropped.
type page struct {
	contentType string
	write       func(to io.Writer) error

	mu     sync.Mutex
	newest *edition // nil: no client reads one
	alive  int      // editions that clients read
}

// edition is the text of a page at one moment. It does not change once it is made, except
// readers, which the page's lock guards.
type edition struct {
	begun   time.Time
	made    chan struct{} // closed when it is made
	text    []byte
	err     error
	zipped  func() ([]byte, error)
	readers int
}

var errNotMade = errors.New("the text could not be made")

// ServeHTTP implements [http.Handler].
func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e, first := p.borrow()
	defer p.release(e)
	if first {
		p.make(e)
	}
	select {
	case <-e.made:
	case <-r.Context().Done():
		return
	}
	text, err := e.text, e.err
	head := w.Header()
	head.Set("Vary", "Accept-Encoding")
	if zip := acceptsGzip(r); zip && err == nil {
		text, err = e.zipped()
		head.Set("Content-Encoding", "gzip")
	}
	if err != nil {
		head.Del("Content-Encoding")
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	head.Set("Content-Type", p.contentType)
	head.Set("Content-Length", strconv.Itoa(len(text)))
	// A writer that has no deadlines is not that of a connection.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTime))
	_, _ = w.Write(text) // or the client has gone
}

// borrow returns the edition to read, which the caller has to release. If the caller is
// the first, it has to make it.
func (p *page) borrow() (e *edition, first bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e = p.newest; e == nil || e.stale() && p.alive < maxEditions {
		e = &edition{begun: time.Now(), made: make(chan struct{}), err: errNotMade}
		e.zipped = sync.OnceValues(func() ([]byte, error) { return zip(e.text) })
		p.newest, first = e, true
		p.alive++
	}
	e.readers++
	return e, first
}

// stale reports whether the edition is made and no longer fresh.
func (e *edition) stale() bool {
	select {
	case <-e.made:
		return time.Since(e.begun) >= fresh
	default:
		return false
	}
}

func (p *page) release(e *edition) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.readers--; e.readers > 0 {
		return
	}
	p.alive--
	if p.newest == e {
		p.newest = nil
	}
}

// make makes an edition. If that panics, the requests that wait for it get errNotMade.
func (p *page) make(e *edition) {
	defer close(e.made)
	var text bytes.Buffer
	if e.err = p.write(&text); e.err == nil {
		e.text = text.Bytes()
	}
}

func zip(text []byte) ([]byte, error) {
	var zipped bytes.Buffer
	w, err := gzip.NewWriterLevel(&zipped, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	_, err = w.Write(text)
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, err
	}
	return zipped.Bytes(), nil
}

// acceptsGzip reports whether a client accepts a compressed text.
func acceptsGzip(r *http.Request) bool {
	for coding := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(coding), ";")
		if strings.TrimSpace(name) == "gzip" {
			return strings.Trim(strings.TrimPrefix(strings.TrimSpace(weight), "q="), "0.") != "" || weight == ""
		}
	}
	return false
}
