package chaos

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"
)

// shares are what each backend is to get of a row's requests, by name. They add up
// to 1.
type shares map[string]float64

// sharesOf makes shares of weights.
func sharesOf(weights map[string]int) shares {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	s := shares{}
	for name, w := range weights {
		s[name] = float64(w) / float64(sum)
	}
	return s
}

// A course is what the shares are at a time.
type course func(time.Time) shares

// always is the course of shares that stay.
func always(s shares) course { return func(time.Time) shares { return s } }

// A ledger counts the answers of one row. What a backend got is compared with the sum
// of its shares at each choice, which the answer's revision tells. Safe for concurrent
// use.
type ledger struct {
	row     string
	spread  float64 // by which counts may be off where nothing was lost or repeated
	clients int     // how many requests are under way at most
	turns   float64 // how many rotations decide about one request

	mu       sync.Mutex // of all below; the last two may be read when the load has ended
	revision map[string]shares
	phase    *phase // nil: answers are not counted
	failed   []failure
	answers  int
	losses   int    // how often the server was replaced
	latest   string // the revision of the latest answers
	inRow    int    // how many they are
}

// A phase is a while in which the shares of a row are known.
type phase struct {
	name   string
	begun  time.Time
	fixed  course // instead of what the revisions say; nil: those do
	got    map[string]int
	due    map[string]float64
	margin float64 // choices whose answers are not in this phase, or that were made twice
}

// failure is a request that was not answered as it should have been.
type failure struct {
	row        string
	began, end time.Time
	what       string
}

func newLedger(row string, clients int) *ledger {
	// Within 2 of the sum of the shares at any moment, and so within 4 between two.
	l := &ledger{row: row, clients: clients, turns: 1, revision: map[string]shares{}}
	if row == retried {
		l.turns = 2 // that of all requests, and that of those that have failed
	}
	l.spread = 4 * l.turns
	return l
}

// declare says what a revision's shares are, before any request can have it.
func (l *ledger) declare(revision string, s shares) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.revision[revision] = s
}

// begin starts a phase, and returns what is wrong with the one that ends. With fixed,
// the shares are those, whatever revision decides. Requests under way at either end
// are in no phase.
func (l *ledger) begin(name string, fixed course) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.check()
	l.phase = &phase{
		name: name, begun: time.Now(), fixed: fixed, margin: float64(2 * l.clients),
		got: map[string]int{}, due: map[string]float64{},
	}
	return err
}

// only reports whether the latest n answers are all by that revision.
func (l *ledger) only(revision string, n int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.latest == revision && l.inRow >= n
}

// renew begins the same phase once more, while no request is under way: so counts
// are compared without a margin. It returns what is wrong with the one that ends.
func (l *ledger) renew() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.phase
	if p == nil {
		return nil
	}
	err := l.check()
	l.phase = &phase{name: p.name, begun: time.Now(), fixed: p.fixed, got: map[string]int{}, due: map[string]float64{}}
	return err
}

// suspend ends the phase, and begins none.
func (l *ledger) suspend() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.check()
	l.phase = nil
	return err
}

// disturb records that the server is about to be replaced, or was: the rotation begins
// anew, and what is under way may be decided twice.
func (l *ledger) disturb() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.losses++
	if l.phase != nil {
		l.phase.margin += l.turns * float64(1+l.clients)
	}
}

// answered counts a good answer.
func (l *ledger) answered(backend, revision string, began time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answers++
	if l.inRow++; l.latest != revision {
		l.latest, l.inRow = revision, 1
	}
	p := l.phase
	if p == nil || began.Before(p.begun) {
		return
	}
	due := l.revision[revision]
	if p.fixed != nil {
		due = p.fixed(began)
	}
	if due == nil {
		l.failed = append(l.failed, failure{l.row, began, time.Now(), fmt.Sprintf("%s answered by revision %q, which there never was", backend, revision)})
		return
	}
	p.got[backend]++
	for name, share := range due {
		p.due[name] += share
	}
}

// failedOne counts an answer that is none, which may have been somebody's turn.
func (l *ledger) failedOne(began time.Time, what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = append(l.failed, failure{l.row, began, time.Now(), what})
	if l.phase != nil {
		l.phase.margin++
	}
}

// check compares the counts of the phase with the shares. The caller holds mu.
func (l *ledger) check() error {
	p := l.phase
	if p == nil {
		return nil
	}
	names := maps.Clone(p.due)
	for name := range p.got {
		names[name] = 0
	}
	bound := l.spread + p.margin
	for _, name := range slices.Sorted(maps.Keys(names)) {
		got, due := float64(p.got[name]), p.due[name]
		if math.Abs(got-due) > bound || due == 0 && got > 0 {
			return fmt.Errorf("row %q, phase %q: %q got %v requests where %.1f were due, and the bound is %.0f", l.row, p.name, name, got, due, bound)
		}
	}
	return nil
}
