package plugin

import (
	"sync"
	"time"

	"kong-traffic-split/plugin/split"
)

const (
	// recentTime is the time that [Recent] is about.
	recentTime = time.Minute
	// SamplePause is how often [Plugin.Sample] is to be called.
	SamplePause = 5 * time.Second
)

// Recent is what a split has had in the last minute, or since the process began.
type Recent struct {
	Seconds     float64 `json:"seconds"` // how long that is, up to a minute and a [SamplePause]
	Requests    uint64  `json:"requests"`
	Unavailable uint64  `json:"unavailable"` // those of them that no backend could take
}

// RecentBackend is what a backend has had in that time.
type RecentBackend struct {
	Requests uint64 `json:"requests"`
	// Share is its part of the split's requests, from 0 to 1; nil: there were none.
	Share *float64 `json:"share"`
	// Observed are the requests whose outcome is known, and Failed those of them that have
	// failed on the backend's account.
	Observed uint64 `json:"observed"`
	Failed   uint64 `json:"failed"`
	// Latency is the mean of the answers, in seconds; nil: there were none.
	Latency *float64 `json:"latency"`
	// LatencyP95 is the latency, in seconds, that 95 % of the answers did not exceed,
	// rounded up to one of [LatencyBounds]; nil: there were none, or it is above all bounds.
	LatencyP95 *float64 `json:"latency_p95"`
}

// samples are what a number, or several, was at some times: all of the last minute, and
// the newest before it. Where it has not changed since there is no further one. The zero
// value is ready to use. It is safe for concurrent use.
type samples[T comparable] struct {
	mu  sync.Mutex
	all []sample[T] // the oldest first
}

type sample[T comparable] struct {
	at    time.Time
	value T
}

// add adds the value at now. Without an earlier sample it was zero at last.
func (s *samples[T]) add(value T, last, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) == 0 {
		s.all = append(s.all, sample[T]{at: last})
	}
	old := 0
	for old+1 < len(s.all) && now.Sub(s.all[old+1].at) >= recentTime {
		old++
	}
	s.all = append(s.all[:0], s.all[old:]...)
	if s.all[len(s.all)-1].value != value {
		s.all = append(s.all, sample[T]{now, value})
	}
}

// at returns the value at a time, and the oldest one that is known where no sample is as
// old: add may have dropped that since the caller has chosen the time.
func (s *samples[T]) at(then time.Time) (value T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, sample := range s.all {
		if i > 0 && sample.at.After(then) {
			break
		}
		value = sample.value
	}
	return value
}

// sampling is when samples were taken: in the last minute, and at last before it.
type sampling struct {
	mu    sync.Mutex
	times []time.Time // the oldest first
}

// add adds a time, and returns the last one before it; zero: there was none.
func (s *sampling) add(now time.Time) (last time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.times); n > 0 {
		last = s.times[n-1]
	}
	old := 0
	for old+1 < len(s.times) && now.Sub(s.times[old+1]) >= recentTime {
		old++
	}
	s.times = append(s.times[old:], now)
	return last
}

// start returns when the last minute has begun at now; zero: no sample was taken yet.
func (s *sampling) start(now time.Time) (start time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, at := range s.times {
		if i > 0 && now.Sub(at) < recentTime {
			break
		}
		start = at
	}
	return start
}

// Sample takes the numbers of requests at now, by which [Plugin.Status] knows those of the
// last minute. It is to be called when the process begins, and each [SamplePause] from then
// on, one call after another.
func (p *Plugin) Sample(now time.Time) {
	last := p.sampling.add(now)
	take := func(l *live) { l.tally.sample(l.observed, last, now) }
	p.rows.each(take)
	p.file.each(take)
}

func (t *tally) sample(observed bool, last, now time.Time) {
	t.refused.add(t.unavailable.Load(), last, now)
	for _, b := range t.backends {
		b.requests.add(b.total(), last, now)
		if observed {
			b.results.add(b.result(), last, now)
		}
	}
}

// results are the numbers of a backend's outcomes.
type results struct {
	observed, failed uint64
	latencies        [len(LatencyBounds) + 1]uint64 // as in latencies
	sum              int64                          // likewise
}

// total returns how many requests were decided for the backend. Of those it has had besides,
// after they had failed on another one, its share says nothing.
func (t *backendTally) total() (n uint64) {
	for i, reason := range split.Reasons {
		if reason != split.ByRetry {
			n += t.chosen[i].Load()
		}
	}
	return n
}

// result returns the numbers of its outcomes.
func (t *backendTally) result() (r results) {
	for c := nothing + 1; c < classes; c++ {
		n := t.outcomes[c].Load()
		r.observed += n
		if c.failed() {
			r.failed += n
		}
	}
	for i := range t.latencies.counts {
		r.latencies[i] = t.latencies.counts[i].Load()
	}
	r.sum = t.latencies.sum.Load()
	return r
}

// recent returns what the split and its backends have had since start, until now.
func (l *live) recent(start, now time.Time) (*Recent, []*RecentBackend) {
	t := &l.tally
	whole := &Recent{Seconds: now.Sub(start).Seconds(), Unavailable: t.unavailable.Load() - t.refused.at(start)}
	whole.Requests = whole.Unavailable
	backends := make([]*RecentBackend, len(t.backends))
	for i, b := range t.backends {
		backends[i] = &RecentBackend{Requests: b.total() - b.requests.at(start)}
		whole.Requests += backends[i].Requests
		if l.observed {
			backends[i].add(b.result(), b.results.at(start))
		}
	}
	for _, b := range backends {
		if whole.Requests > 0 {
			b.Share = new(float64(b.Requests) / float64(whole.Requests))
		}
	}
	return whole, backends
}

// add adds the outcomes since before, until now.
func (b *RecentBackend) add(now, before results) {
	b.Observed, b.Failed = now.observed-before.observed, now.failed-before.failed
	var answers uint64
	for i := range now.latencies {
		now.latencies[i] -= before.latencies[i]
		answers += now.latencies[i]
	}
	if answers == 0 {
		return
	}
	b.Latency = new(time.Duration((now.sum - before.sum) / int64(answers)).Seconds())
	upTo := uint64(0)
	for i, bound := range LatencyBounds {
		if upTo += now.latencies[i]; upTo*100 >= answers*95 {
			b.LatencyP95 = new(bound.Seconds())
			break
		}
	}
}
