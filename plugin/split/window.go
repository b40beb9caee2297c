package split

import "time"

// parts is into how many parts a window's time is divided. Requests that are older than
// the window by less than one part still count.
const parts = 10

// window counts the requests of the last while, of its length or up to one part more.
type window struct {
	length time.Duration
	part   [parts + 1]count
	latest int64 // the number, since 1970, of the part that was counted in last

	latencies *latencies // of the requests; nil: they do not matter
}

// latencies are those of the requests in a window.
type latencies struct {
	part [parts + 1]histogram
	sum  histogram // of all parts
}

// add counts a request.
func (l *latencies) add(part int64, bucket int) {
	l.part[part][bucket]++
	l.sum[bucket]++
}

// clear forgets the requests of a part.
func (l *latencies) clear(part int64) {
	l.sum.subtract(&l.part[part])
	l.part[part] = histogram{}
}

type count struct{ all, failed int }

// add counts a request.
func (c *count) add(failed bool) {
	c.all++
	if failed {
		c.failed++
	}
}

// slide makes it the window of that length at now.
func (w *window) slide(length time.Duration, now time.Time) {
	if length != w.length {
		w.resize(length)
	}
	w.move(now.UnixNano() / w.unit())
}

// add counts a request at the moment to which the window was slid, and its latency if that
// is known and latencies matter.
func (w *window) add(failed bool, bucket int) {
	i := w.latest % int64(len(w.part))
	w.part[i].add(failed)
	if w.latencies != nil && bucket != noLatency {
		w.latencies.add(i, bucket)
	}
}

// total returns how many requests are in the window and how many of them failed.
func (w *window) total() (total count) {
	for _, c := range w.part {
		total.all, total.failed = total.all+c.all, total.failed+c.failed
	}
	return total
}

// at returns the window at now, as a copy.
func (w *window) at(now time.Time) *window {
	passed := *w
	if w.latencies != nil {
		passed.latencies = new(*w.latencies)
	}
	passed.move(now.UnixNano() / w.unit())
	return &passed
}

// unit is a part's time, in ns.
func (w *window) unit() int64 { return max(int64(w.length)/parts, 1) }

// move makes the part of that number the latest one.
func (w *window) move(number int64) {
	if number < w.latest-parts { // the clock was set back: what is there would count for too long
		w.clear()
		w.latest = number
	}
	for w.latest < number {
		// After a long pause every part is cleared once, not more often.
		w.latest = max(w.latest+1, number-parts)
		i := w.latest % int64(len(w.part))
		w.part[i] = count{}
		if w.latencies != nil {
			w.latencies.clear(i)
		}
	}
}

// clear forgets all requests.
func (w *window) clear() {
	*w = window{length: w.length, latest: w.latest, latencies: w.latencies}
	if w.latencies != nil {
		*w.latencies = latencies{}
	}
}

// resize changes the length. Requests that are in the new window stay, to within one
// part of the old length.
func (w *window) resize(length time.Duration) {
	old := *w
	*w = window{length: length}
	if old.latencies != nil {
		w.latencies = new(latencies)
	}
	if old.length == 0 {
		return
	}
	// By the end of an old part, so that none of its requests is forgotten early.
	place := func(number int64) int64 { return ((number+1)*old.unit() - 1) / w.unit() }
	w.latest = place(old.latest)
	for number := max(old.latest-parts, 0); number <= old.latest; number++ {
		from := number % int64(len(old.part))
		at := place(number)
		if at < w.latest-parts {
			continue
		}
		to := at % int64(len(w.part))
		w.part[to].all += old.part[from].all
		w.part[to].failed += old.part[from].failed
		if w.latencies != nil {
			w.latencies.part[to].add(&old.latencies.part[from])
			w.latencies.sum.add(&old.latencies.part[from])
		}
	}
}
