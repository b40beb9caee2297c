package health

import (
	"testing"
	"testing/synctest"
	"time"

	"kong-traffic-split/plugin/state"
)

// What another process has found unhealthy is so until probes say otherwise.
func TestATargetThatIsKnownToBeUnhealthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		saved := new(state.Memory)
		b := &backend{down: errDown}
		p, _ := begin(t, b, saved)
		p.Watch(one)
		after(time.Minute)
		p.Close()

		p, _ = begin(t, b, saved)
		w := p.Watch(one)
		if w.Healthy() {
			t.Error("it is healthy at first")
		}
		after(2 * recallTime)
		if w.Healthy() || len(saved.Keys(unhealthyPrefix)) != 1 {
			t.Errorf("then it is healthy: %t, saved is %q", w.Healthy(), saved.Keys(unhealthyPrefix))
		}
		b.set(nil)
		after(time.Minute)
		if !w.Healthy() || saved.Keys(unhealthyPrefix) != nil {
			t.Errorf("in the end it is healthy: %t, saved is %q", w.Healthy(), saved.Keys(unhealthyPrefix))
		}
	})
}

// Who edits how a dead backend is probed makes it healthy neither at once nor for the
// next process.
func TestEditsOfHowATargetIsProbed(t *testing.T) {
	base := Target{Host: "one", Port: 1, Protocol: HTTP, Path: "/"}
	for name, edit := range map[string]func(*Target){
		"interval":  func(t *Target) { t.Interval = 7 * time.Second },
		"timeout":   func(t *Target) { t.Timeout = 2 * time.Second },
		"healthy":   func(t *Target) { t.Healthy = 5 },
		"unhealthy": func(t *Target) { t.Unhealthy = 9 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				edited := base
				edit(&edited)
				saved := new(state.Memory)
				b := &backend{down: errDown}
				p, _ := begin(t, b, saved)
				before := p.Watch(base)
				after(time.Minute)
				w := p.Watch(edited)
				before.Stop()
				synctest.Wait()
				if w.Healthy() {
					t.Error("it is healthy")
				}
				p.Close()
				p, _ = begin(t, b, saved)
				if p.Watch(edited).Healthy() {
					t.Error("it is healthy in the next process")
				}
			})
		})
	}
}

// Two who probe the same in two ways may disagree. It is saved as unhealthy as long as
// it is so for one of them.
func TestTwoWaysToProbeATarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{takes: 500 * time.Millisecond}
		p, _ := newProbers(t, b)
		quick, slow := one, one
		quick.Timeout, slow.Timeout = 100*time.Millisecond, time.Second
		w, other := p.Watch(quick), p.Watch(slow)
		after(time.Minute)
		if w.Healthy() || !other.Healthy() || len(p.saved.Keys(unhealthyPrefix)) != 1 {
			t.Errorf("healthy: %t, %t, saved is %q", w.Healthy(), other.Healthy(), p.saved.Keys(unhealthyPrefix))
		}
		w.Stop()
		synctest.Wait()
		if p.saved.Keys(unhealthyPrefix) != nil {
			t.Errorf("saved is %q, of which nobody knows", p.saved.Keys(unhealthyPrefix))
		}
	})
}

// What nobody watches any more is forgotten, and what an earlier process has found
// unhealthy is not unhealthy for whoever watches it later, when it is well by then.
func TestUnhealthyTargetsAreForgotten(t *testing.T) {
	for name, test := range map[string]struct {
		watched time.Duration // after the beginning of the next process
		down    error         // by then
		healthy bool
	}{
		"it is up again":        {3 * time.Second, nil, false}, // one probe is not enough
		"it is up for a while":  {10 * time.Second, nil, true},
		"it is down":            {10 * time.Second, errDown, false},
		"long after":            {recallTime + time.Second, errDown, true},
		"it was up before that": {recallTime + time.Second, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				saved := new(state.Memory)
				saved.Set(unhealthyPrefix+"of an older version", []byte{})
				b := &backend{down: errDown}
				p, _ := begin(t, b, saved)
				p.Watch(one)
				after(time.Minute)
				p.Close()
				b.set(test.down)
				p, _ = begin(t, b, saved)
				time.Sleep(test.watched - time.Millisecond)
				b.set(errDown)
				if w := p.Watch(one); w.Healthy() != test.healthy || test.healthy != (saved.Keys(unhealthyPrefix) == nil) {
					t.Errorf("healthy: %t, saved is %q", w.Healthy(), saved.Keys(unhealthyPrefix))
				}
			})
		})
	}
}

// What another process says only later, as at a takeover, holds as well: for who watches
// the target already, for who does so later, and it is forgotten like all else.
func TestATargetThatAnotherProcessFindsUnhealthy(t *testing.T) {
	for name, test := range map[string]struct {
		before  time.Duration // how long it was watched by then; negative: it was not
		healthy bool          // then
	}{
		"watched just now": {0, false},
		"not watched":      {-1, false},
		"probed":           {time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				saved, other := new(state.Memory), new(state.Memory)
				b := &backend{down: errDown}
				theirs, _ := begin(t, b, other)
				theirs.Watch(one)
				after(time.Minute)
				theirs.Close()
				b.set(nil)
				p, _ := begin(t, b, saved)
				p.phase = func(time.Duration) time.Duration { return time.Second / 2 }
				if test.before >= 0 {
					defer p.Watch(one).Stop()
					after(test.before)
				}
				for _, key := range other.Keys("") {
					saved.Set(key, other.Get(key))
					p.Recall(key)
				}
				p.Recall("split/row/1")
				p.Recall(unhealthyPrefix + "nobody's")
				w := p.Watch(one)
				if w.Healthy() != test.healthy || test.healthy != (saved.Keys(unhealthyPrefix) == nil) {
					t.Errorf("healthy: %t, saved is %q", w.Healthy(), saved.Keys(unhealthyPrefix))
				}
				w.Stop()
				after(recallTime + time.Second)
				if saved.Keys(unhealthyPrefix) != nil {
					t.Errorf("after a while saved is %q", saved.Keys(unhealthyPrefix))
				}
			})
		})
	}
}
