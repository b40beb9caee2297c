package health

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
)

// The keys of what is saved: one of these, and the target's.
const (
	unhealthyPrefix = "unhealthy/"
	recoveredPrefix = "recovered/" // it was unhealthy before
)

const (
	// recallTime is how long a target that an earlier process found unhealthy is
	// probed, watched or not: watches begin with the first requests. For so long, too, it
	// is known that one had recovered.
	recallTime = time.Hour
	// recoveryTime is how long it matters that a target has recovered: the longest time in
	// which its share grows.
	recoveryTime = 24 * time.Hour
)

// A record is what is saved of a target.
type record struct {
	Target
	Since   time.Time `json:"since,omitzero"` // when it became healthy or unhealthy; zero: that is not known
	healthy bool      // which the key says
}

// record returns what is saved of the target of that key, with that prefix; nil: nothing
// that matters.
func (p *Probers) record(prefix, key string) *record {
	r := record{healthy: prefix == recoveredPrefix}
	text := p.saved.Get(prefix + key)
	if text == nil || json.Unmarshal(text, &r) != nil || r.Key() != key || r.healthy && r.isOld() {
		return nil
	}
	if now := time.Now(); !r.Since.IsZero() {
		r.Since = now.Add(min(r.Since.Sub(now), 0)) // on the monotonic clock, even if it was set back since
	}
	return &r
}

// isOld reports whether it does not matter any more.
func (r *record) isOld() bool { return time.Since(r.Since) >= recoveryTime }

// recallAll takes over what an earlier process has saved.
func (p *Probers) recallAll() {
	for _, prefix := range []string{unhealthyPrefix, recoveredPrefix} {
		for _, key := range p.saved.Keys(prefix) {
			p.Recall(key)
		}
	}
}

// Recall takes over the target that another process found unhealthy, or healthy again, and
// has just saved under key, as if it had been saved when these probers began. A target that
// was probed here already stays as these probes found it. Other keys are ignored.
func (p *Probers) Recall(saved string) {
	prefix := unhealthyPrefix
	key, ok := strings.CutPrefix(saved, prefix)
	if !ok {
		prefix = recoveredPrefix
		key, ok = strings.CutPrefix(saved, prefix)
	}
	if !ok || p.saved.Get(saved) == nil {
		return
	}
	p.mu.Lock()
	before := p.record(prefix, key)
	if before == nil {
		p.saved.Set(saved, nil) // no target has that key, or it is of no use
		p.mu.Unlock()
		return
	}
	for _, r := range p.byTarget {
		if r.key == key {
			r.recall(before)
		}
	}
	p.mu.Unlock()
	if before.healthy {
		time.AfterFunc(recallTime, func() { p.save(before.Target) })
		return
	}
	time.AfterFunc(recallTime, p.Watch(before.Target).Stop)
	p.save(before.Target)
}

// save saves whether and since when a target is unhealthy for any of the probers that have
// its key, or has recovered.
func (p *Probers) save(t Target) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed { // the next process begins with what is saved
		return
	}
	key := t.Key()
	var is *record
	for other, r := range p.byTarget {
		if r.key == key {
			if has := r.record(other); is == nil || has.comesBefore(is) {
				is = has
			}
		}
	}
	var unhealthy, recovered []byte
	switch {
	case is == nil:
	case !is.healthy:
		unhealthy, _ = json.Marshal(is) // strings and numbers can be
	case !is.isOld():
		recovered, _ = json.Marshal(is)
	}
	set := func(key string, value []byte) {
		if !bytes.Equal(value, p.saved.Get(key)) {
			p.saved.Set(key, value)
		}
	}
	if recovered != nil { // before the other is deleted: so one is there whenever this process dies
		set(recoveredPrefix+key, recovered)
	}
	set(unhealthyPrefix+key, unhealthy)
	set(recoveredPrefix+key, recovered)
}

// comesBefore reports whether it is this that is saved, of two probers with one key: that it
// is unhealthy for one of them, and for the longer time, or that one has recovered last.
func (r *record) comesBefore(other *record) bool {
	if r.healthy != other.healthy {
		return !r.healthy
	}
	return r.Since.Before(other.Since) != r.healthy
}
