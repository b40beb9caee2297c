package server

import (
	"strconv"
	"sync"
	"sync/atomic"

	"kong-traffic-split/plugin/state"
)

// deathsPrefix is how the keys begin under which State has how many processes have died
// with a call.
const deathsPrefix = "deaths/"

// trials count, in saved state, the processes that have died with a call in flight which
// no journal has. The zero value is ready, and safe for concurrent use.
type trials struct {
	looked sync.Once
	found  atomic.Bool // there may be calls that processes before this one have died with

	mu    sync.Mutex
	byKey map[string]*trial
}

// A trial is what becomes of the same call on all connections.
type trial struct {
	deaths int // of processes before this one
	calls  int // in flight
	tried  int // of them
}

// any reports whether there may be a call that processes before this one have died with.
func (t *trials) any(saved state.Store) bool {
	t.looked.Do(func() { t.found.Store(len(saved.Keys(deathsPrefix)) > 0) })
	return t.found.Load()
}

// known reports whether that is one of them.
func (t *trials) known(key string, saved state.Store) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byKey[key] != nil || saved.Get(key) != nil
}

// join begins with a call, with which its journal says that so many processes have died,
// and returns how many have.
func (t *trials) join(key string, deaths int, saved state.Store) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byKey == nil {
		t.byKey = map[string]*trial{}
	}
	entry := t.byKey[key]
	if entry == nil {
		entry = new(trial)
		entry.deaths, _ = strconv.Atoi(string(saved.Get(key))) // none where nothing is
		t.byKey[key] = entry
	}
	entry.deaths = max(entry.deaths, deaths)
	entry.calls++
	return entry.deaths
}

// count records that one call more is tried, or one less: where one is, the death of this
// process counts.
func (t *trials) count(key string, n int, saved state.Store) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.byKey[key].tried += n
	t.save(key, saved)
}

// leave ends with a call, tried or not, of which this process has not died.
func (t *trials) leave(key string, tried bool, saved state.Store) {
	t.mu.Lock()
	defer t.mu.Unlock()
	entry := t.byKey[key]
	entry.deaths = 0
	entry.calls--
	if tried {
		entry.tried--
	}
	t.save(key, saved)
	if entry.calls == 0 {
		delete(t.byKey, key)
	}
}

// save saves what the next process has to know. The caller holds mu.
func (t *trials) save(key string, saved state.Store) {
	deaths := t.byKey[key].deaths
	if t.byKey[key].tried > 0 {
		deaths++
	}
	var value []byte
	if deaths > 0 {
		value = strconv.AppendInt(nil, int64(deaths), 10)
	}
	saved.Set(key, value)
}

// forget forgets the calls of processes before this one that nobody has repeated.
func (t *trials) forget(saved state.Store) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, key := range saved.Keys(deathsPrefix) {
		if t.byKey[key] == nil {
			saved.Set(key, nil)
		}
	}
	t.looked.Do(func() {})
	t.found.Store(len(t.byKey) > 0)
}
