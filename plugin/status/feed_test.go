package status

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
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
)

// watcher watches GET /events.
type watcher struct {
	*httptest.ResponseRecorder
	leave  context.CancelFunc
	blocks atomic.Pointer[chan struct{}] // nil: it reads at once

	// to look at after synctest.Wait
	texts [][]byte // the server's own, not copies
	ended bool
	until time.Time // the deadline of its last event
}

func (w *watcher) Write(text []byte) (int, error) {
	if blocks := w.blocks.Load(); blocks != nil {
		<-*blocks
	}
	w.texts = append(w.texts, text)
	return w.ResponseRecorder.Write(text)
}

func (w *watcher) SetWriteDeadline(at time.Time) error {
	w.until = at
	return nil
}

// watch has a client watch until the test ends, or it leaves.
func watch(t *testing.T, h http.Handler, header ...string) *watcher {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	w := &watcher{ResponseRecorder: httptest.NewRecorder(), leave: leave}
	r := httptest.NewRequestWithContext(ctx, "GET", "http://localhost/events", nil)
	if len(header) > 0 {
		r.Header.Set(header[0], header[1])
	}
	go func() {
		defer func() { w.ended = true }()
		defer func() { _ = recover() }() // as the server does
		h.ServeHTTP(w, r)
	}()
	synctest.Wait()
	return w
}

// events are what it was told: each event's name, and the ids of its sections.
func (w *watcher) events() (all []string) {
	for event := range strings.SplitSeq(strings.TrimSuffix(w.Body.String(), "\n\n"), "\n\n") {
		name, data, _ := strings.Cut(event, "\n")
		text := strings.TrimPrefix(name, "event: ")
		for line := range strings.Lines(data) {
			if _, rest, ok := strings.Cut(line, `<section id="`); ok {
				id, _, _ := strings.Cut(rest, `"`)
				text += " " + id
			}
		}
		all = append(all, text)
	}
	return all
}

// changing are two splits, the first one with a weight that changes, and how often they were
// looked at.
type changing struct {
	weight atomic.Int64
	more   atomic.Pointer[plugin.SplitStatus] // a third one; nil: there is none
	looked atomic.Int64
	panics atomic.Bool
	takes  time.Duration // to look at them
}

func (c *changing) handler() http.Handler {
	since := time.Now().Add(-25 * time.Hour)
	return Handler(Source{Version: "1", Started: time.Now(), Splits: func(time.Time) []plugin.SplitStatus {
		c.looked.Add(1)
		time.Sleep(c.takes)
		if c.panics.Load() {
			panic("ouch")
		}
		all := []plugin.SplitStatus{
			{Split: "a", Since: since, Backends: []plugin.BackendStatus{{Name: "x", Weight: int(c.weight.Load())}}},
			{Split: "b", Since: since, Backends: []plugin.BackendStatus{{Name: "y"}}},
		}
		if more := c.more.Load(); more != nil {
			all = append(all, *more)
		}
		return all
	}}, slog.New(slog.DiscardHandler))
}

// rest waits, and then for whatever happens at that time.
func rest(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// Whoever watches gets all sections and then, each second, those that have changed. There is
// one text for all of them.
func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c changing
		h := c.handler()
		first, second := watch(t, h), watch(t, h)
		rest(2*feedPause + feedPause/2)
		late := watch(t, h)
		c.weight.Store(2)
		rest(feedPause)
		c.more.Store(&plugin.SplitStatus{Split: "c"})
		rest(feedPause)
		one, two, three := name("split", "a", ""), name("split", "b", ""), name("split", "c", "")
		whole := "report wrong none " + one + " " + two + " left changes server"
		each := "changed server" // how long the process runs is in there
		want := []string{whole, each, each, "changed " + one + " server", strings.Replace(whole, two, two+" "+three, 1)}
		for name, w := range map[string]*watcher{"first": first, "second": second} {
			if got := w.events(); strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("the %s was told\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if !strings.Contains(string(w.texts[1]), `<p id="now"`) {
				t.Errorf("the %s was not told the time", name)
			}
			if want := time.Now().Add(writeTime - feedPause/2); !w.until.Equal(want) {
				t.Errorf("the %s has until %v to read, want %v", name, w.until, want)
			}
		}
		want = append([]string{whole}, want[3:]...)
		if got := late.events(); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("the late one was told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		for i := range first.texts {
			if &first.texts[i][0] != &second.texts[i][0] {
				t.Errorf("event %d has two texts", i)
			}
		}
		if n := c.looked.Load(); n != 5 {
			t.Errorf("the splits were looked at %d times, want 5", n)
		}
		for _, w := range []*watcher{first, second, late} {
			w.leave()
		}
		rest(time.Hour)
		if n := c.looked.Load(); n != 5 || !first.ended || !late.ended {
			t.Errorf("nobody watches, and the splits were looked at %d times, want 5", n)
		}
	})
}

// One who reads slowly holds up nobody, and gets all sections when it is back.
func TestSlowWatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c changing
		h := c.handler()
		slow, quick := watch(t, h), watch(t, h)
		blocks := make(chan struct{})
		slow.blocks.Store(&blocks)
		rest(3*feedPause + feedPause/2)
		close(blocks)
		rest(feedPause)
		got := strings.Join(slow.events(), "\n")
		for i, want := range []string{"report", "changed", "report", "changed"} {
			if event := strings.Split(got, "\n")[i]; !strings.HasPrefix(event, want) {
				t.Errorf("event %d is %q, want %q", i, event, want)
			}
		}
		if n := len(quick.texts); n != 5 {
			t.Errorf("the quick one was told %d times, want 5", n)
		}
	})
}

// The text in gzip is shared like the plain one, and can be read by anybody who knows gzip,
// event by event.
func TestCompressedEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c changing
		h := c.handler()
		plain := watch(t, h)
		one := watch(t, h, "Accept-Encoding", "gzip")
		rest(feedPause + feedPause/2)
		two := watch(t, h, "Accept-Encoding", "gzip")
		time.Sleep(2 * feedPause)
		synctest.Wait()
		if len(one.texts) != 4 || len(two.texts) != 3 {
			t.Fatalf("they were told %d and %d texts", len(one.texts), len(two.texts))
		}
		if &one.texts[3][0] != &two.texts[2][0] || &one.texts[3][0] == &plain.texts[3][0] || one.Header().Get("Content-Encoding") != "gzip" {
			t.Error("the compressed text is not shared")
		}
		for _, w := range []*watcher{one, two} {
			unzipped, err := gzip.NewReader(bytes.NewReader(w.Body.Bytes()))
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(unzipped)
			if err != io.ErrUnexpectedEOF { // it has no end
				t.Errorf("got %v", err)
			}
			if got := string(text); w == one && got != plain.Body.String() {
				t.Errorf("got %s, want %s", got, plain.Body)
			}
		}
	})
}

// There are so many at most: the one who has watched longest has to leave, and is told why.
func TestWatchersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c changing
		h := c.handler()
		var all []*watcher
		for range maxWatchers + 2 {
			all = append(all, watch(t, h))
		}
		rest(feedPause)
		for i, w := range all {
			events := w.events()
			last := events[len(events)-1]
			if displaced := last == "displaced"; displaced != (i < 2) || w.ended != displaced {
				t.Errorf("watcher %d: told %q, ended %v", i, last, w.ended)
			}
		}
		if n := c.looked.Load(); n != 2 {
			t.Errorf("the splits were looked at %d times, want 2", n)
		}
	})
}

// Where it takes long to look at all splits, that is done less often.
func TestFeedIsNoBurden(t *testing.T) {
	for took, pause := range map[time.Duration]time.Duration{
		10 * time.Millisecond: feedPause, 200 * time.Millisecond: 4 * time.Second, time.Second: maxFeedPause,
	} {
		synctest.Test(t, func(t *testing.T) {
			c := changing{takes: took}
			watch(t, c.handler())
			rest(3*pause + pause/2)
			if n := c.looked.Load(); n != 4 {
				t.Errorf("that takes %v, and was done %d times in %v", took, n, 3*pause)
			}
		})
	}
}

// Where looking at the splits panics, nobody who waits for it stays, and the next one is
// told again.
func TestFeedAfterAPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c changing
		h := c.handler()
		one, two := watch(t, h), watch(t, h)
		c.panics.Store(true)
		rest(feedPause)
		if !one.ended || !two.ended {
			t.Errorf("ended are %v, %v", one.ended, two.ended)
		}
		c.panics.Store(false)
		if again := watch(t, h); len(again.texts) != 1 || again.ended {
			t.Errorf("told %d events, ended %v", len(again.texts), again.ended)
		}
	})
}

// A stream outlasts the server's limits for requests, and ends with the server at once.
func TestStreamUntilTheEnd(t *testing.T) {
	left := make(chan struct{})
	h := Handler(source(), slog.New(slog.DiscardHandler))
	address, _, end := serving(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(left)
		h.ServeHTTP(w, r)
	}, feedPause/2)
	response, err := http.Get("http://" + address + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	events := bufio.NewScanner(response.Body)
	events.Buffer(nil, 1<<20)
	var names []string
	for len(names) < 2 && events.Scan() {
		if name, ok := strings.CutPrefix(events.Text(), "event: "); ok {
			names = append(names, name)
		}
	}
	if got := fmt.Sprint(names); got != "[report changed]" {
		t.Errorf("got %s, %v", got, events.Err())
	}
	end()
	<-left
	for events.Scan() { // what was sent before
	}
}
