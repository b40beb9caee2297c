package spec

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// load sends requests in the background until it is ended, each on a
// connection of its own.
type load struct {
	stop    chan struct{}
	once    sync.Once
	senders sync.WaitGroup
	sent    atomic.Int64

	mu      sync.Mutex // guards what follows
	counted tally
	failed  failures
	latest  []string // who gave the latest answers, as many as are looked at
}

// cmdLoad starts the load, or ends it: then every request has to have been
// answered with 200, and the answers are added to the tally.
func (s *scene) cmdLoad(args []string) error {
	const usage = "load start [-c concurrency] [-pause duration] [-by header] [flags of request] path | load await name... | load stop"
	if s.gateway == nil {
		return errors.New("no gateway is running")
	}
	switch {
	case len(args) == 1 && args[0] == "stop" && s.load != nil:
		return s.endLoad()
	case len(args) > 1 && args[0] == "await" && s.load != nil:
		return s.load.awaitServing(args[1:])
	case len(args) == 0 || args[0] != "start" || s.load != nil:
		return errors.New("usage: " + usage)
	}
	var r request
	flags := requestFlags("load", &r)
	concurrency := flags.Int("c", 4, "")
	// Without a pause most of a run's time goes into loads that are there beside something
	// else.
	pause := flags.Duration("pause", 20*time.Millisecond, "")
	countBy := flags.String("by", "", "")
	args, err := parse(flags, args[1:], usage, 1, 1)
	if err != nil {
		return err
	}
	s.load = &load{stop: make(chan struct{}), counted: tally{}}
	r.target = unescape(args[0])
	for range *concurrency {
		s.load.senders.Go(func() { s.load.send(s, r, *pause, *countBy) })
	}
	return s.load.awaitAnswers(*concurrency)
}

// endLoad ends the load after a few more answers, so that what the script did
// last has been under load too.
func (s *scene) endLoad() error {
	l := s.load
	s.load = nil
	err := l.awaitAnswers(20)
	l.end()
	for name, count := range l.counted {
		s.tally[name] += count
	}
	s.ts.Logf("[load] %v\n", l.counted)
	return errors.Join(err, l.problems())
}

// end ends the senders.
func (l *load) end() {
	l.once.Do(func() { close(l.stop) })
	l.senders.Wait()
}

// send sends one request after another, with a pause between them.
func (l *load) send(s *scene, r request, pause time.Duration, countBy string) {
	for {
		select {
		case <-l.stop:
			return
		default:
		}
		since := s.revisions.seen.Load()
		a, err := s.exchange(r.numbered(int(l.sent.Add(1))))
		if err == nil && a.status >= 300 {
			err = fmt.Errorf("status %d: %s", a.status, a.body)
		}
		if err == nil {
			err = s.revisions.check(a, since)
		}
		l.record(a.key(countBy), err)
		time.Sleep(pause)
	}
}

// record counts an answer, or keeps what went wrong.
func (l *load) record(key string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.failed.add(err)
		key = ""
	} else {
		l.counted[key]++
	}
	const looked = 20
	if l.latest = append(l.latest, key); len(l.latest) > looked {
		l.latest = slices.Delete(l.latest, 0, 1)
	}
}

// awaitAnswers waits for n more answers.
func (l *load) awaitAnswers(n int) error {
	already := l.answers()
	if err := await(func() bool { return l.answers() >= already+n }); err != nil {
		return fmt.Errorf("%d answers under load: %w", n, err)
	}
	return nil
}

// awaitServing waits until the latest answers have come from these and nobody else.
func (l *load) awaitServing(names []string) error {
	slices.Sort(names)
	serving := func() []string {
		l.mu.Lock()
		defer l.mu.Unlock()
		return slices.Compact(slices.Sorted(slices.Values(l.latest)))
	}
	if err := await(func() bool { return slices.Equal(serving(), names) }); err != nil {
		return errors.Join(fmt.Errorf("%v serve, not %v: %w", serving(), names, err), l.problems())
	}
	return nil
}

// problems is what went wrong so far.
func (l *load) problems() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed.err()
}

func (l *load) answers() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.failed.count
	for _, count := range l.counted {
		n += count
	}
	return n
}
