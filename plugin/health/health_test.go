package health

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"kong-traffic-split/plugin/state"
)

var (
	one = Target{Host: "one", Port: 1}
	two = Target{Host: "two", Port: 2}
)

func TestWatchersShareAProber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{down: errDown}
		p, _ := newProbers(t, b)
		first := p.Watch(one)
		after(11 * time.Second)
		second := p.Watch(one)
		if first.Healthy() || second.Healthy() || b.dialled() != 3 {
			t.Errorf("healthy: %t, %t; %d probes", first.Healthy(), second.Healthy(), b.dialled())
		}
		first.Stop()
		first.Stop() // which takes nothing from the other
		after(5 * time.Second)
		if b.dialled() != 4 || second.Condition() != first.Condition() {
			t.Errorf("%d probes, %+v, %+v", b.dialled(), first.Condition(), second.Condition())
		}
		second.Stop()
		after(time.Minute)
		if b.dialled() != 4 || len(p.byTarget) != 0 {
			t.Errorf("%d probes, %d probers", b.dialled(), len(p.byTarget))
		}
		if second.Healthy() {
			t.Error("a stopped watch forgets")
		}
		if !p.Watch(one).Healthy() {
			t.Error("one that is watched anew is not healthy")
		}
	})
}

// A probe that Stop has cut short is no failure, and is over before the next
// prober begins.
func TestStopDuringAProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{takes: 700 * time.Millisecond}
		p, log := newProbers(t, b)
		target := Target{Host: "one", Port: 1, Unhealthy: 1}
		w := p.Watch(target)
		after(100 * time.Millisecond)
		w.Stop()
		next := p.Watch(target)
		after(100 * time.Millisecond)
		if b.dialled() != 2 || b.most != 1 || !w.Healthy() || !next.Healthy() || log.Len() > 0 || p.saved.Keys("") != nil {
			t.Errorf("%d probes, %d at the same time, log %q", b.dialled(), b.most, log)
		}
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{takes: time.Hour}
		p, _ := newProbers(t, b)
		w := p.Watch(Target{Host: "one", Port: 1, Timeout: 2 * time.Hour})
		p.Watch(two)
		after(time.Millisecond)
		begin := time.Now()
		p.Close()
		p.Close()
		if b.now != 0 || time.Since(begin) != 0 {
			t.Errorf("%d probes under way, after %v", b.now, time.Since(begin))
		}
		late := p.Watch(one)
		after(time.Minute)
		if b.dialled() != 2 || !late.Healthy() || !w.Healthy() {
			t.Errorf("%d probes after Close", b.dialled()-2)
		}
		late.Stop()
		w.Stop()
	})
}

// TestNeverTwoProbers has many watch and stop at the same time. A target never
// has two probes under way, whoever watches one gets it probed, and nothing is
// left when nobody does.
func TestNeverTwoProbers(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		// For each goroutine, how long it watches and then pauses, in turns.
		scripts := rapid.SliceOfN(
			rapid.SliceOfN(rapid.IntRange(0, 40), 1, 12), 2, 8).Draw(rt, "milliseconds")
		synctest.Test(t, func(t *testing.T) {
			b := &backend{takes: 7 * time.Millisecond, down: errDown}
			p, _ := newProbers(t, b)
			target := Target{Host: "one", Port: 1, Interval: 5 * time.Millisecond}
			var all sync.WaitGroup
			for _, script := range scripts {
				all.Go(func() {
					for _, ms := range script {
						w := p.Watch(target)
						time.Sleep(time.Duration(ms) * time.Millisecond)
						w.Healthy()
						w.Condition()
						w.Stop()
						time.Sleep(time.Duration(ms/3) * time.Millisecond)
					}
				})
			}
			all.Wait()
			synctest.Wait()
			if b.most > 1 {
				t.Errorf("%d probes at the same time", b.most)
			}
			if len(p.byTarget) != 0 || b.now != 0 {
				t.Errorf("%d probers are left, %d probes under way", len(p.byTarget), b.now)
			}
			before := b.dialled()
			w := p.Watch(target)
			time.Sleep(time.Millisecond)
			if b.dialled() != before+1 {
				t.Error("it is not probed any more")
			}
			w.Stop()
			p.Close()
		})
	})
}

func BenchmarkHealthy(b *testing.B) {
	p := New(slog.New(slog.DiscardHandler), new(state.Memory))
	defer p.Close()
	w := p.Watch(one)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if !w.Healthy() {
				b.Error("unhealthy")
			}
		}
	})
}

func ExampleProbers() {
	p := New(slog.New(slog.DiscardHandler), new(state.Memory))
	defer p.Close()
	w := p.Watch(Target{Host: "127.0.0.1", Port: 9101, Path: "/healthz"})
	defer w.Stop()
	fmt.Println(w.Healthy())
	// Output: true
}
