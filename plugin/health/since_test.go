package health

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kong-traffic-split/plugin/state"
)

// course is a target that became unhealthy and, in the end, healthy again.
type course struct {
	saved           *state.Memory
	backend         *backend
	fell, recovered time.Time
}

// fall has the target become unhealthy, in a process that has ended since.
func fall(t *testing.T) *course {
	c := &course{saved: new(state.Memory), backend: &backend{down: errDown}}
	p, _ := begin(t, c.backend, c.saved)
	w := p.Watch(one)
	after(time.Minute)
	c.fell = w.Changed()
	p.Close()
	return c
}

// recover has it recover, in another process that has ended since.
func (c *course) recover(t *testing.T) {
	p, _ := begin(t, c.backend, c.saved)
	w := p.Watch(one)
	c.backend.set(nil)
	after(time.Minute)
	c.recovered = w.Changed()
	p.Close()
}

// checkSince compares what a watch says with when it became so.
func checkSince(t *testing.T, w Watch, healthy bool, since time.Time) {
	t.Helper()
	if c := w.Condition(); w.Healthy() != healthy || !w.Changed().Equal(since) || !c.Since.Equal(since) {
		t.Errorf("healthy: %t, since %v by Changed and %v in %+v, want %t since %v", w.Healthy(), w.Changed(), c.Since, c, healthy, since)
	}
}

// Since when a target is unhealthy, or healthy again, is known over a restart and edits of
// how it is probed: who is slow to take its share goes on, and who has been out for longest
// is.
func TestSinceWhenATargetIsAsItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fall(t)
		after(time.Minute)
		p, _ := begin(t, c.backend, c.saved)
		w := p.Watch(one)
		checkSince(t, w, false, c.fell)
		edited := one
		edited.Interval = time.Hour
		other := p.Watch(edited)
		w.Stop()
		synctest.Wait()
		checkSince(t, other, false, c.fell)
		p.Close()

		c.recover(t)
		after(time.Minute)
		p, _ = begin(t, c.backend, c.saved)
		w = p.Watch(one)
		checkSince(t, w, true, c.recovered)
		other = p.Watch(edited)
		w.Stop()
		synctest.Wait()
		checkSince(t, other, true, c.recovered)
		other.Stop()
		synctest.Wait()
		if keys := c.saved.Keys(""); keys != nil {
			t.Errorf("saved is %q, which nobody watches", keys)
		}
	})
}

// A recovery is of use for a day, and for an hour where nobody watches.
func TestRecoveriesAreForgotten(t *testing.T) {
	for name, watched := range map[string]bool{"watched": true, "not watched": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := fall(t)
				c.recover(t)
				p, _ := begin(t, c.backend, c.saved)
				p.Recall(recoveredPrefix + "nobody's")
				if watched {
					p.Watch(one)
				}
				after(recallTime + time.Second)
				if known := c.saved.Keys("") != nil; known != watched {
					t.Errorf("after an hour it is known: %t", known)
				}
				p.Close()
				time.Sleep(recoveryTime - time.Since(c.recovered))
				p, _ = begin(t, c.backend, c.saved)
				if w := p.Watch(one); !w.Changed().IsZero() || c.saved.Keys("") != nil {
					t.Errorf("after a day: %v, saved is %q", w.Changed(), c.saved.Keys(""))
				}
			})
		})
	}
}

// A clock that was set back makes nothing begin in the future.
func TestRecoveryInTheFuture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fall(t)
		c.recover(t)
		for _, key := range c.saved.Keys("") {
			c.saved.Set(key, []byte(strings.Replace(string(c.saved.Get(key)), `"since":"20`, `"since":"30`, 1)))
		}
		p, _ := begin(t, c.backend, c.saved)
		if w := p.Watch(one); !w.Changed().Equal(time.Now()) {
			t.Errorf("it has recovered at %v, and it is %v", w.Changed(), time.Now())
		}
	})
}

// A clock that is set ends no slow start, and begins none: times are on the monotonic one.
func TestSinceIsMonotonic(t *testing.T) {
	saved := new(state.Memory)
	p, _ := begin(t, &backend{}, saved)
	r := &prober{log: slog.New(slog.DiscardHandler), changed: func() {}}
	r.change(false, errDown)
	text, _ := json.Marshal(r.record(one))
	saved.Set(unhealthyPrefix+one.Key(), text)
	for _, w := range []Watch{&watch{prober: r}, p.Watch(one)} {
		if at := w.Changed(); at.IsZero() || at.Round(0) == at {
			t.Errorf("%v is on the clock that may be set", at)
		}
	}
}

// At a takeover another process says only later what it has found. What was found here
// counts all the same.
func TestRecoveryThatAnotherProcessTells(t *testing.T) {
	for name, test := range map[string]struct {
		failed bool // here, before it was told
		want   func(c *course, w Watch) bool
	}{
		"healthy all the time": {false, func(c *course, w Watch) bool { return w.Healthy() && w.Changed().Equal(c.recovered) }},
		"unhealthy here":       {true, func(c *course, w Watch) bool { return !w.Healthy() && w.Changed().After(c.recovered) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := fall(t)
				c.recover(t)
				if test.failed {
					c.backend.set(errDown)
				}
				saved := new(state.Memory)
				p, _ := begin(t, c.backend, saved)
				w := p.Watch(one)
				after(time.Minute)
				for _, key := range c.saved.Keys("") {
					saved.Set(key, c.saved.Get(key))
					p.Recall(key)
				}
				if !test.want(c, w) {
					t.Errorf("healthy: %t, since %v; the other has found it healthy since %v", w.Healthy(), w.Changed(), c.recovered)
				}
			})
		})
	}
}

// It says so before it takes back what it has said before.
func TestRecoveryBesideWhatItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fall(t)
		unhealthy, recovered := unhealthyPrefix+one.Key(), recoveredPrefix+one.Key()
		saved := new(state.Memory)
		saved.Set(unhealthy, c.saved.Get(unhealthy))
		c.recover(t)
		p, _ := begin(t, &backend{takes: time.Hour}, saved) // whose first probe is under way
		saved.Set(recovered, c.saved.Get(recovered))
		p.Recall(recovered)
		saved.Set(unhealthy, nil)
		p.Recall(unhealthy)
		checkSince(t, p.Watch(one), true, c.recovered)
		if saved.Get(recovered) == nil {
			t.Error("it is not saved any more")
		}
	})
}

// Of two who probe the same in two ways, the next process begins with the worse.
func TestTwoWaysToRecover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{down: errDown}
		saved := new(state.Memory)
		p, _ := begin(t, b, saved)
		late := one
		late.Healthy = 4
		w, last := p.Watch(one), p.Watch(late)
		after(time.Minute)
		b.set(nil)
		after(time.Minute)
		third := one
		third.Timeout = time.Second / 2
		if !w.Healthy() || !last.Changed().After(w.Changed()) {
			t.Fatalf("%v, %v", w.Condition(), last.Condition())
		}
		checkSince(t, p.Watch(third), true, last.Changed())
	})
}
