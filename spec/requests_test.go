package spec

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// tally counts answers by the backend that gave them; those of the gateway
// itself by their status.
type tally map[string]int

// String is how a script writes a tally.
func (t tally) String() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(t)) {
		parts = append(parts, fmt.Sprintf("%s=%d", name, t[name]))
	}
	return strings.Join(parts, " ")
}

// cmdRequests sends requests through the gateway, each on a connection of its
// own, to the paths in turn, and adds the answers to the tally.
func (s *scene) cmdRequests(args []string) error {
	const usage = "requests [-c concurrency] [-by header] [flags of request] number path..."
	if s.gateway == nil {
		return errors.New("no gateway is running")
	}
	var r request
	flags := requestFlags("requests", &r)
	concurrency := flags.Int("c", 1, "")
	countBy := flags.String("by", "", "")
	args, err := parse(flags, args, usage, 2, math.MaxInt)
	if err != nil {
		return err
	}
	number, err := strconv.Atoi(args[0])
	if err != nil {
		return fmt.Errorf("%w\nusage: %s", err, usage)
	}
	counted, err := s.sendMany(r, args[1:], number, *concurrency, *countBy)
	for name, count := range counted {
		s.tally[name] += count
	}
	return err
}

// cmdSettle sends requests until the latest ones were answered by these and nobody else. None is
// in the tally.
func (s *scene) cmdSettle(args []string) error {
	if s.gateway == nil {
		return errors.New("no gateway is running")
	}
	var r request
	args, err := parse(requestFlags("settle", &r), args, "settle [flags of request] path name...", 2, math.MaxInt)
	if err != nil {
		return err
	}
	names := slices.Sorted(slices.Values(args[1:]))
	var got tally
	var failed error
	err = await(func() bool {
		got, failed = s.sendMany(r, args[:1], 20, 4, "")
		return failed != nil || slices.Equal(slices.Sorted(maps.Keys(got)), names)
	})
	if err = errors.Join(failed, err); err != nil {
		return fmt.Errorf("counted %v, not %v alone: %w", got, names, err)
	}
	return nil
}

// sendMany sends number requests, concurrency at a time. {i} in a request is its
// number, counted from 1. The answers are counted by the backend, or by the value
// of a header where countBy names one.
func (s *scene) sendMany(r request, paths []string, number, concurrency int, countBy string) (tally, error) {
	var (
		sent    atomic.Int64
		mu      sync.Mutex // guards what follows
		counted = tally{}
		failed  failures
		senders sync.WaitGroup
	)
	for range concurrency {
		senders.Go(func() {
			for i := int(sent.Add(1)); i <= number; i = int(sent.Add(1)) {
				one := r
				one.target = unescape(paths[(i-1)%len(paths)])
				a, err := s.exchange(one.numbered(i))
				mu.Lock()
				if err != nil {
					failed.add(fmt.Errorf("request %d: %w", i, err))
				} else {
					counted[a.key(countBy)]++
				}
				mu.Unlock()
			}
		})
	}
	senders.Wait()
	return counted, failed.err()
}

// failures counts requests that failed and keeps the first ones.
type failures struct {
	count int
	first []error
}

func (f *failures) add(err error) {
	const most = 5
	if f.count++; f.count <= most {
		f.first = append(f.first, err)
	}
}

func (f *failures) err() error {
	if f.count == 0 {
		return nil
	}
	return fmt.Errorf("%d requests failed:\n%w", f.count, errors.Join(f.first...))
}

// key is what an answer is counted by: its backend, or the value of the header countBy.
func (a answer) key(countBy string) string {
	if countBy == "" || a.status == 0 {
		return a.backend()
	}
	if value := a.header.Get(countBy); value != "" {
		return value
	}
	return strconv.Itoa(a.status)
}

// cmdCounts expects the whole tally since the last counts.
func (s *scene) cmdCounts(args []string) error {
	want := tally{}
	for _, arg := range args {
		name, text, _ := strings.Cut(arg, "=")
		count, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%w\nusage: counts name=number...", err)
		}
		want[name] = count
	}
	got := s.tally
	s.tally = tally{}
	if !maps.Equal(got, want) {
		return fmt.Errorf("counted %v, not %v", got, want)
	}
	return nil
}

// cmdServed expects that these have answered since the last counts, each at
// least once, and nobody else.
func (s *scene) cmdServed(args []string) error {
	got := s.tally
	s.tally = tally{}
	if !slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(slices.Values(args))) {
		return fmt.Errorf("%v served, not %v", got, args)
	}
	return nil
}
