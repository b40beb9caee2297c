package status

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	// maxWatchers is how many may watch at the same time. They take no more than a
	// quarter of the connections that may be open.
	maxWatchers = 16
	// feedPause is the time between two editions; longer, up to maxFeedPause, where making
	// one takes more than a feedPart of it.
	feedPause    = time.Second
	maxFeedPause = 10 * time.Second
	feedPart     = 20
)

// A feed tells whoever watches it what the page shows, by server-sent events: at first all
// sections (event "report"), and from then on, each second, those that have changed
// ("changed"); one always has, with the time, so that silence says that the connection is
// lost. All watchers share one text. One who is slow misses some and then gets all
// sections again. When there are too many, the one who has watched longest is told so
// ("displaced") and has to leave.
type feed struct {
	sections func() []section

	mu       sync.Mutex
	newest   *news           // nil: nobody watches
	number   uint64          // of newest
	watchers []chan struct{} // closed for one who has to leave; the oldest first
}

// news are the sections at one moment. Once made they do not change.
type news struct {
	number   uint64
	before   []section // those of the number before; nil: they are not known
	sections []section // nil: they could not be made
	made     chan struct{}
	due      time.Time // of the next ones, once these are made
	all      *event
	changed  *event // all, where the sections are not the same ones
}

// ServeHTTP implements [http.Handler].
func (f *feed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // of a proxy that would keep events for later
	w.Header().Set("Vary", "Accept-Encoding")
	zipped := acceptsGzip(r)
	if zipped {
		w.Header().Set("Content-Encoding", "gzip")
	}
	if r.Method == http.MethodHead {
		return
	}
	conn := http.NewResponseController(w)
	leave := f.join()
	defer f.left(leave)
	for seen := uint64(0); ; {
		n := f.next(r.Context(), leave, seen)
		var e *event
		switch {
		case n == nil && r.Context().Err() == nil:
			e = newEvent("displaced", nil)
		case n == nil || n.sections == nil:
			return
		default:
			e = n.since(seen)
		}
		_ = conn.SetWriteDeadline(time.Now().Add(writeTime))
		if e.write(w, zipped, seen == 0) != nil || conn.Flush() != nil || n == nil {
			return
		}
		seen = n.number
	}
}

// join takes a place, and returns what is closed when it is needed for another one.
func (f *feed) join() (leave chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.watchers) == maxWatchers {
		close(f.watchers[0])
		f.watchers = slices.Delete(f.watchers, 0, 1)
	}
	leave = make(chan struct{})
	f.watchers = append(f.watchers, leave)
	return leave
}

func (f *feed) left(leave chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watchers = slices.DeleteFunc(f.watchers, func(other chan struct{}) bool { return other == leave })
	if len(f.watchers) == 0 {
		f.newest = nil
	}
}

// next returns the first news after those with a number, and waits for them. It returns
// nil if the context ends or the watcher has to leave.
func (f *feed) next(ctx context.Context, leave <-chan struct{}, seen uint64) *news {
	for {
		n, first, wait := f.take(seen)
		if first {
			f.make(n)
		}
		var timer <-chan time.Time
		var made <-chan struct{}
		if wait > 0 {
			timer = time.After(wait)
		} else {
			made = n.made
		}
		select {
		case <-timer:
		case <-made:
			return n
		case <-ctx.Done():
			return nil
		case <-leave:
			return nil
		}
	}
}

// take returns news after those with a number, which may still be in the making; the
// caller makes them if it is the first. Otherwise it returns how long to wait for them.
func (f *feed) take(seen uint64) (n *news, first bool, wait time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if f.newest == nil || f.newest.isMade() && !now.Before(f.newest.due) {
		n = &news{number: f.number + 1, made: make(chan struct{})}
		if f.newest != nil {
			n.before = f.newest.sections
		}
		f.newest, f.number = n, n.number
		return n, true, 0
	}
	if f.newest.number > seen {
		return f.newest, false, 0
	}
	return nil, false, f.newest.due.Sub(now)
}

// make makes news. If that panics, there are none in their place.
func (f *feed) make(n *news) {
	begin := time.Now()
	n.due = begin.Add(feedPause)
	defer close(n.made)
	sections := f.sections()
	n.due = begin.Add(min(max(feedPause, feedPart*time.Since(begin)), maxFeedPause))
	changed, same := difference(n.before, sections)
	n.before, n.sections = nil, sections
	n.all = newEvent("report", sections)
	n.changed = n.all
	if same {
		n.changed = newEvent("changed", changed)
	}
}

func (n *news) isMade() bool {
	select {
	case <-n.made:
		return true
	default:
		return false
	}
}

// since returns what to tell a watcher who has seen the news with that number.
func (n *news) since(seen uint64) *event {
	if seen+1 == n.number {
		return n.changed
	}
	return n.all
}

// difference returns the sections that have changed. It reports whether they are the same
// ones in the same order.
func difference(before, after []section) (changed []section, same bool) {
	if len(before) != len(after) {
		return nil, false
	}
	for i, s := range after {
		if before[i].id != s.id {
			return nil, false
		}
		if before[i].html != s.html {
			changed = append(changed, s)
		}
	}
	return changed, true
}
