package plugin

import (
	"math/rand/v2"
	"sync"
)

// comparison joins what has become of a request with what its copies were answered, whichever
// is known first.
type comparison struct {
	mu      sync.Mutex
	real    class // nothing: it is not known yet
	answers []answered
}

// answered is what a shadow has answered before the real answer was known.
type answered struct {
	tally *copyTally
	class class
}

// copied records what a copy was answered.
func (c *comparison) copied(t *copyTally, got class) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.real == nothing {
		c.answers = append(c.answers, answered{t, got})
		return
	}
	t.compare(c.real, got)
}

// observed records what has become of the request.
func (c *comparison) observed(real class) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.real = real
	for _, a := range c.answers {
		a.tally.compare(real, a.class)
	}
	c.answers = nil
}

// mostCompared is how many requests may be between their access and their log phase; the
// oldest of more are not compared.
const mostCompared = 4096

// comparisons are those whose requests the log phase has not reported yet, by a number that
// the access phase leaves for it. Its zero value is ready to use. Safe for concurrent use.
type comparisons struct {
	mu     sync.Mutex
	last   uint64      // at random at first: marks of an earlier process are not to be found
	recent []*numbered // in a ring; nil: there was none
}

type numbered struct {
	number uint64
	*comparison
}

// add keeps a comparison, and returns its number, which is not 0.
func (c *comparisons) add(what *comparison) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.recent == nil {
		c.recent, c.last = make([]*numbered, mostCompared), rand.Uint64()>>1
	}
	c.last++
	c.recent[c.last%mostCompared] = &numbered{c.last, what}
	return c.last
}

// take returns the comparison of that number, once; nil: there is none.
func (c *comparisons) take(number uint64) *comparison {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.recent == nil {
		return nil
	}
	at := &c.recent[number%mostCompared]
	if *at == nil || (*at).number != number {
		return nil
	}
	found := (*at).comparison
	*at = nil
	return found
}
