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
	// fresh is how long a text that somebody still reads is given to others too.
	fresh = time.Second
	// maxEditions is how many texts of a page there may be at a time: the newest one,
	// and the one before it, which somebody is slow to read.
	maxEditions = 2
	// writeTime is how long somebody may take to read a text. After that the newest one
	// is none that only slow readers keep.
	writeTime = 10 * time.Second
)

// A page is a text that is made when somebody asks for it. All who ask while it is
// made, or soon after that while somebody still reads it, share it: its cost in time and
// memory does not grow with their number, however slowly they read. When nobody reads
// it, it is forgotten.
type page struct {
	contentType string
	write       func(to io.Writer) error

	mu     sync.Mutex
	newest *edition // nil: nobody reads one
	alive  int      // editions that somebody reads
}

// edition is the text of a page at one moment. But for readers, which the page's lock
// guards, it does not change once it is made.
type edition struct {
	begun   time.Time
	made    chan struct{} // closed when it is
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
	if zip := takesGzip(r); zip && err == nil {
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
	// A writer without deadlines is none of a connection that could be slow.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTime))
	_, _ = w.Write(text) // or the client has gone
}

// borrow returns the edition to read, which has to be released. Whoever is the first
// makes it.
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

// stale reports whether there ought to be a newer edition.
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

// make makes an edition. Where that panics, those who wait for it go on all the same.
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

// takesGzip reports whether a client takes a text that is compressed.
func takesGzip(r *http.Request) bool {
	for coding := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(coding), ";")
		if strings.TrimSpace(name) == "gzip" {
			return strings.Trim(strings.TrimPrefix(strings.TrimSpace(weight), "q="), "0.") != "" || weight == ""
		}
	}
	return false
}
