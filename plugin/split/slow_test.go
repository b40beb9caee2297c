package split_test

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"kong-traffic-split/plugin/split"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// patients are backends whose health a test sets.
type patients struct {
	unhealthy split.Set
	changed   [split.MaxBackends]time.Time
}

// set makes a backend healthy or unhealthy.
func (p *patients) set(i int, healthy bool, now time.Time) {
	if p.unhealthy.Has(i) == healthy {
		p.changed[i] = now
	}
	p.unhealthy &^= set(i)
	if !healthy {
		p.unhealthy |= set(i)
	}
}

func (p *patients) facts(now time.Time) *split.Facts {
	return &split.Facts{Now: now, Unhealthy: p.unhealthy, Changed: func(i int) time.Time { return p.changed[i] }}
}

// slowly has all backends of s grow over a time.
func slowly(s *split.Split, over time.Duration) *split.Split {
	for i := range s.Backends {
		s.Backends[i].SlowStart = over
	}
	return s
}

// grown returns the shares at now as the documentation has them: what backends in a slow
// start leave goes to the others that can be used, by their weights.
func grown(weights []float64, s *split.Split, p *patients, now time.Time) []float64 {
	n := len(weights)
	parts, usable := make([]float64, n), make([]bool, n)
	furthest := 0.0
	for i, b := range s.Backends {
		usable[i] = weights[i] > 0 && !p.unhealthy.Has(i)
		parts[i] = 10000
		if b.SlowStart > 0 && !p.changed[i].IsZero() {
			parts[i] = float64(min(now.Sub(p.changed[i])*10000/b.SlowStart, 10000)) // in hundredths of a percent
		}
		if usable[i] {
			furthest = max(furthest, parts[i])
		}
	}
	shares := make([]float64, n)
	left, full := 0.0, 0.0
	for i, w := range weights {
		if parts[i] = math.Floor(parts[i]*10000/furthest) / 10000; furthest == 0 {
			parts[i] = 1
		}
		switch {
		case !usable[i] && s.OnUnavailable != split.Redistribute:
			shares[i] = w
		case usable[i] && parts[i] < 1:
			shares[i] = w * parts[i]
			left += w - w*parts[i]
		case usable[i]:
			full += w
		}
	}
	total := 0.0
	for i, w := range weights {
		if usable[i] && parts[i] == 1 {
			shares[i] = w + left*w/full
		}
		total += shares[i]
	}
	if total == 0 { // redistribute ignores the checks where no backend is left
		copy(shares, weights)
	}
	return normal(shares)
}

// Backends fail and recover, one or several, all at last, and a ramp goes on meanwhile:
// after each choice each has had fewer than two more or less than the sum of its shares.
func TestSlowStartsKeepSharesExact(t *testing.T) {
	highest := 0.0
	rapid.Check(t, func(t *rapid.T) {
		s := smooth(weights(t, 6)...)
		for i := range s.Backends {
			if rapid.IntRange(0, 3).Draw(t, "slow") > 0 {
				s.Backends[i].SlowStart = time.Duration(rapid.IntRange(1, 60_000).Draw(t, "slow start")) * time.Millisecond
			}
		}
		s.OnUnavailable = rapid.SampledFrom([]split.OnUnavailable{split.Fail, split.Redistribute}).Draw(t, "on unavailable")
		if rapid.Bool().Draw(t, "ramp") && len(s.Backends) > 1 && s.Backends[1].Weight > 0 {
			s.Ramp = &split.Ramp{From: 0, To: 10000, Start: noon, Duration: time.Minute}
		}
		st, p, now := split.NewState(s), &patients{}, noon
		owed := make([]float64, len(s.Backends))
		for range rapid.IntRange(1, 200).Draw(t, "choices") {
			now = now.Add(time.Duration(rapid.IntRange(0, 2000).Draw(t, "pause")) * time.Millisecond)
			if rapid.IntRange(0, 9).Draw(t, "change") == 0 {
				p.set(rapid.IntRange(0, len(owed)-1).Draw(t, "backend"), rapid.Bool().Draw(t, "healthy"), now)
			}
			shares := grown(weightsAt(s, now), s, p, now)
			d, err := split.Decide(s, st, p.facts(now))
			if err != nil && !errors.Is(err, split.ErrUnhealthy) {
				t.Fatal(err)
			}
			for i, share := range shares {
				owed[i] += share
			}
			if err != nil {
				charge(owed, p.unhealthy, shares)
			} else {
				owed[d.Backend]--
			}
			for i, o := range owed {
				if !p.unhealthy.Has(i) {
					highest = max(highest, math.Abs(o))
				}
			}
			if highest >= 2 {
				t.Fatalf("off by %.3f: %v", highest, owed)
			}
		}
	})
	t.Logf("off by %.3f at the most", highest)
}

// charge counts a request that has failed for the unhealthy backend that is owed the most:
// whose turn it was is not told.
func charge(owed []float64, unhealthy split.Set, shares []float64) {
	most := -1
	for i := range owed {
		if unhealthy.Has(i) && shares[i] > 0 && (most < 0 || owed[i] > owed[most]) {
			most = i
		}
	}
	owed[most]--
}

// weightsAt returns the weights with the ramp.
func weightsAt(s *split.Split, now time.Time) []float64 {
	out := make([]float64, len(s.Backends))
	rest := 0.0
	for i, b := range s.Backends {
		out[i] = float64(b.Weight)
		if s.Ramp != nil && i != s.Ramp.Backend {
			rest += out[i]
		}
	}
	if s.Ramp == nil {
		return out
	}
	share := float64(s.Ramp.ShareAt(now)) / 10000
	for i := range out {
		out[i] *= 1 - share
	}
	out[s.Ramp.Backend] = share * rest
	return out
}

// What operators see are these shares: the one that grows has its part, to the last digit,
// and the others keep their ratio.
func TestSharesOfSlowStarts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := slowly(smooth(weights(t, 8)...), 10*time.Second)
		st, p, now := split.NewState(s), &patients{}, noon
		for i := range s.Backends {
			p.set(i, false, now)
			now = now.Add(time.Duration(rapid.IntRange(0, 5000).Draw(t, "apart")) * time.Millisecond)
			if rapid.Bool().Draw(t, "recovers") {
				p.set(i, true, now)
			}
		}
		h := st.Health(p.facts(now))
		if diff := cmp.Diff(grown(weightsAt(s, now), s, p, now), h.Shares, near); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		for i, slow := range h.SlowStarts {
			if slow != nil && (!slow.Since.Equal(p.changed[i]) || slow.Until.Sub(slow.Since) != 10*time.Second || slow.Part < 0 || slow.Part >= 10000) {
				t.Errorf("%d: %+v", i, slow)
			}
		}
	})
}

var near = cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 1e-9 })

// A backend comes back evenly, however it was found unhealthy; again from 0 if it fails
// again; and at once where it has no slow start, or is back for long.
func TestCourseOfSlowStart(t *testing.T) {
	s := slowly(smooth(50, 30, 20), 10*time.Second)
	s.Backends[0].Passive = &split.Passive{Failures: 1, Ejection: 30 * time.Second}
	s.Backends[1].SlowStart = 0
	st, p := split.NewState(s), &patients{}
	observe(st, 0, bad(0))
	check := func(st *split.State, at time.Duration, want ...float64) {
		t.Helper()
		if diff := cmp.Diff(want, st.Health(p.facts(noon.Add(at))).Shares, near); diff != "" {
			t.Errorf("after %v (-want +got):\n%s", at, diff)
		}
	}
	check(st, 30*time.Second, 0, .6, .4)
	check(st, 34*time.Second, .2, .48, .32)
	check(st, 40*time.Second-1, .49995, .30003, .20002)
	check(st, 40*time.Second, .5, .3, .2)
	observe(st, 0, bad(35*time.Second))
	check(st, 66*time.Second, .05, .57, .38)

	p.set(1, false, noon.Add(60*time.Second))
	check(st, 66*time.Second, .05, .3, .65) // the unhealthy one has requests that fail, no fewer and no more
	p.set(1, true, noon.Add(67*time.Second))
	check(st, 70*time.Second, .25, .45, .3)
	p.set(2, false, noon.Add(70*time.Second))
	p.set(2, true, noon.Add(71*time.Second))
	check(st, 72*time.Second, .35, .63, .02)
}

// What is redistributed is dealt out by the same shares, and a fallback has what the
// unhealthy one has, and nothing of what one in a slow start leaves.
func TestSlowStartBesideOneThatIsUnhealthy(t *testing.T) {
	for on, want := range map[split.OnUnavailable][]int{
		split.Redistribute: {0, 125, 375}, // a quarter of 500, which is half of its share of 250
		split.ToFallback:   {0, 125, 375},
	} {
		s := slowly(smooth(2, 1, 1), 10*time.Second)
		s.OnUnavailable, s.Fallback = on, 2
		st, p := split.NewState(s), &patients{}
		p.set(1, false, noon)
		p.set(1, true, noon)
		p.set(0, false, noon)
		counts := make([]int, 3)
		for range 500 {
			d, err := split.Decide(s, st, p.facts(noon.Add(5*time.Second)))
			if err != nil {
				t.Fatal(err)
			}
			counts[d.Backend]++
		}
		if on == split.ToFallback {
			want = []int{0, 62, 438} // an eighth, and the fallback all else
		}
		if diff := cmp.Diff(want, counts); diff != "" {
			t.Errorf("%s (-want +got):\n%s", on, diff)
		}
	}
}

// Who names a backend is sent there at once: sessions, rules, the force header and the
// fallback. Weights of a rule grow as the split's own do.
func TestWhoNamesABackendIsNotSlowed(t *testing.T) {
	s := slowly(smooth(1, 1), 10*time.Second)
	s.ForceHeader = "X-Force"
	s.Rules = []split.Rule{
		{Match: split.Match{Methods: []string{"PUT"}}, Backend: 0},
		{Match: split.Match{Methods: []string{"POST"}}, Weights: []int{9, 1}},
	}
	s.Session = &split.Session{Cookie: "pin", Secrets: [][]byte{[]byte("a secret of sixteen")}}
	st, p := split.NewState(s), &patients{}
	f := p.facts(noon)
	d, err := split.Decide(s, st, f)
	for err == nil && d.Backend != 0 {
		d, err = split.Decide(s, st, f)
	}
	if err != nil {
		t.Fatal(err)
	}
	cookie, _, _ := strings.Cut(d.SetCookie, ";")
	p.set(0, false, noon)
	p.set(0, true, noon)
	for name, facts := range map[string]split.Facts{
		"force":   {Headers: []split.Header{{Name: "X-Force", Value: "0"}}},
		"rule":    {Method: "PUT"},
		"session": {Cookies: cookie},
	} {
		facts.Now, facts.Changed = noon, f.Changed
		if d, err := split.Decide(s, st, &facts); err != nil || d.Backend != 0 || string(d.Reason) != name {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
	counts := make([]int, 2)
	for range 100 {
		f := p.facts(noon.Add(5 * time.Second))
		f.Method = "POST"
		d, err := split.Decide(s, st, f)
		if err != nil {
			t.Fatal(err)
		}
		counts[d.Backend]++
	}
	if diff := cmp.Diff([]int{45, 55}, counts); diff != "" {
		t.Errorf("by a rule's weights (-want +got):\n%s", diff)
	}
}

// Each key comes back to the backend once, in its turn, and none moves between the others.
func TestKeysComeBackOnce(t *testing.T) {
	s := slowly(smooth(3, 5, 2), 10*time.Second)
	s.HashOn = []split.Key{{On: split.OnPath}}
	for _, on := range []split.OnUnavailable{split.Redistribute, split.ToFallback} {
		s.OnUnavailable, s.Fallback = on, 1
		st, p := split.NewState(s), &patients{}
		of := func(path string, now time.Time) int {
			f := p.facts(now)
			f.Path = path
			d, err := split.Decide(s, st, f)
			if err != nil {
				t.Fatal(err)
			}
			return d.Backend
		}
		p.set(1, false, noon)
		p.set(1, true, noon)
		p.set(2, false, noon)
		own, back := 0, 0 // of the keys that belong to it, half way
		for k := range 1000 {
			path := "/" + strconv.Itoa(k)
			last, home := of(path, noon), of(path, noon.Add(10*time.Second))
			for at := range 10 {
				i := of(path, noon.Add(time.Duration(at)*time.Second))
				if i != last && (i != home || home != 1) {
					t.Fatalf("%s: %s goes from %d to %d, and belongs to %d", on, path, last, i, home)
				}
				if last = i; at == 5 && home == 1 && of(path, noon) == 0 {
					if own++; i == 1 {
						back++
					}
				}
			}
		}
		if back*10 < own*4 || back*10 > own*6 {
			t.Errorf("%s: half way it has %d of its %d keys", on, back, own)
		}
	}
}

// What is saved while a backend is ejected, and during its slow start, has it grow on in
// another process.
func TestSlowStartOutlivesAProcess(t *testing.T) {
	s := slowly(smooth(1, 1), 10*time.Second)
	s.Backends[0].Passive = &split.Passive{Failures: 1, Ejection: 30 * time.Second}
	st := split.NewState(s)
	observe(st, 0, bad(0))
	for _, saved := range []time.Duration{0, 34 * time.Second} {
		next := split.NewState(s)
		now := noon.Add(35 * time.Second)
		if err := next.Recall(st.Memory(noon.Add(saved)), now); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]float64{.25, .75}, next.Health(&split.Facts{Now: now}).Shares, near); diff != "" {
			t.Errorf("saved after %v (-want +got):\n%s", saved, diff)
		}
	}
	if memory := st.Memory(noon.Add(40 * time.Second)); memory != nil {
		t.Errorf("saved when it is over: %s", memory)
	}
}

// A decision allocates when a share has changed, not for each request.
func TestSlowStartDoesNotAllocate(t *testing.T) {
	s := slowly(smooth(3, 5, 2), 10*time.Second)
	p := &patients{}
	p.set(0, false, noon)
	p.set(0, true, noon)
	st, f := split.NewState(s), p.facts(noon.Add(time.Second))
	if n := testing.AllocsPerRun(1000, func() { _, _ = split.Decide(s, st, f) }); n != 0 {
		t.Errorf("%v allocations a decision", n)
	}
}
