package split_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"kong-traffic-split/plugin/split"

	"pgregory.net/rapid"
)

// Where health is ignored, as no other backend is left, none is in a slow start: neither one
// that is to come back soon nor one that its probes find unhealthy.
func TestSlowStartWhereHealthIsIgnored(t *testing.T) {
	key := []split.Key{{On: split.OnPath}}
	for name, edit := range map[string]func(*split.Split){
		"smooth": func(*split.Split) {},
		"random": func(s *split.Split) { s.Algorithm = split.Random },
		"hash":   func(s *split.Split) { s.HashOn = key },
	} {
		s := slowly(smooth(1, 1, 1), 10*time.Second)
		s.OnUnavailable = split.Redistribute
		for i := range s.Backends {
			s.Backends[i].Passive = &split.Passive{Failures: 1, Ejection: 30 * time.Second}
		}
		edit(s)
		st, p := split.NewState(s), &patients{}
		observe(st, 0, bad(0))
		observe(st, 1, bad(15*time.Second))
		p.set(2, false, noon)
		random, counts := seeded(1), make([]int, 3)
		for k := range 300 {
			f := p.facts(noon.Add(25 * time.Second)) // 0 is ejected for 5 s, 1 for 20 s
			f.Random, f.Path = random.Uint64(), string(rune('a'+k))
			d, err := split.Decide(s, st, f)
			if err != nil {
				t.Fatal(err)
			}
			counts[d.Backend]++
		}
		for i, n := range counts {
			if n < 70 || n > 130 || name == "smooth" && n != 100 {
				t.Errorf("%s: %d has %d of 300", name, i, n)
			}
		}
	}
}

// ward is backends that are ejected and probed.
type ward struct {
	patients
	until [split.MaxBackends]time.Time // it is, or was last ejected
	kept  split.Set                    // when they were last sick
}

func (w *ward) sick(i int, now time.Time) bool { return w.unhealthy.Has(i) || now.Before(w.until[i]) }

// part returns how much of its share a backend has that can be used.
func (w *ward) part(b *split.Backend, i int, now time.Time) float64 {
	since := w.changed[i]
	if w.until[i].After(since) {
		since = w.until[i]
	}
	if since.IsZero() || b.SlowStart == 0 || w.kept.Has(i) {
		return 1
	}
	return math.Floor(min(float64(now.Sub(since))/float64(b.SlowStart), 1)*10000) / 10000
}

// shares returns what each backend is due, as the documentation has it.
func (w *ward) shares(s *split.Split, weights []float64, kept split.Set, now time.Time) []float64 {
	n := len(weights)
	usable, some := make([]bool, n), false
	for i := range weights {
		if sick := w.sick(i, now); !sick || kept.Has(i) {
			usable[i] = true
			some = some || weights[i] > 0
		}
	}
	shares, parts, furthest := make([]float64, n), make([]float64, n), 0.0
	if !some && s.OnUnavailable == split.Redistribute {
		copy(shares, weights)
		return normal(shares)
	}
	for i := range weights {
		if parts[i] = 1; usable[i] && !w.sick(i, now) {
			parts[i] = w.part(&s.Backends[i], i, now)
		}
		if usable[i] && weights[i] > 0 {
			furthest = max(furthest, parts[i])
		}
	}
	left, full := 0.0, 0.0
	for i, weight := range weights {
		if !usable[i] {
			if s.OnUnavailable != split.Redistribute {
				shares[i] = weight
			}
			continue
		}
		if parts[i] = math.Floor(parts[i]*10000/furthest+1e-9) / 10000; furthest == 0 {
			parts[i] = 1
		}
		if shares[i] = weight * parts[i]; parts[i] < 1 {
			left += weight - shares[i]
		} else {
			full += weight
		}
	}
	for i, weight := range weights {
		if usable[i] && parts[i] == 1 && full > 0 {
			shares[i] += left * weight / full
		}
	}
	return normal(shares)
}

func normal(shares []float64) []float64 {
	total := 0.0
	for _, share := range shares {
		total += share
	}
	for i := range shares {
		shares[i] /= total
	}
	return shares
}

// Backends are ejected, their probes fail, both at once, and again while they come back;
// max_ejected keeps some; weights are edited and a process takes over from another
// meanwhile: after each choice each has had what it is due, whichever of them it recovers from.
func TestSlowStartsOfBothKinds(t *testing.T) {
	highest := 0.0
	rapid.Check(t, func(t *rapid.T) {
		s := smooth(weights(t, 5)...)
		for i := range s.Backends {
			s.Backends[i].SlowStart = time.Duration(rapid.IntRange(0, 20_000).Draw(t, "slow start")) * time.Millisecond
			if rapid.Bool().Draw(t, "passive") {
				s.Backends[i].Passive = &split.Passive{Failures: 1, Ejection: time.Duration(rapid.IntRange(1, 10_000).Draw(t, "ejection")) * time.Millisecond}
			}
		}
		s.OnUnavailable = rapid.SampledFrom([]split.OnUnavailable{split.Fail, split.Redistribute, split.ToFallback}).Draw(t, "on unavailable")
		s.Fallback = rapid.IntRange(0, len(s.Backends)-1).Draw(t, "fallback")
		if rapid.Bool().Draw(t, "limited") {
			s.MaxEjected = new(rapid.IntRange(0, 10000).Draw(t, "max ejected"))
		}
		st, w, now := split.NewState(s), &ward{}, noon
		owed := make([]float64, len(s.Backends))
		for range rapid.IntRange(1, 200).Draw(t, "choices") {
			now = now.Add(time.Duration(rapid.IntRange(1, 1000).Draw(t, "pause")) * time.Millisecond)
			i := rapid.IntRange(0, len(owed)-1).Draw(t, "backend")
			switch rapid.IntRange(0, 19).Draw(t, "event") {
			case 0, 1:
				w.set(i, rapid.Bool().Draw(t, "healthy"), now)
			case 2:
				for range st.Observe(failed(st, i), now) {
					w.until[i] = now.Add(s.Backends[i].Passive.Ejection)
				}
			case 3:
				edited := *s
				edited.Backends = append([]split.Backend(nil), s.Backends...)
				edited.Backends[i].Weight = rapid.IntRange(1, 100).Draw(t, "weight")
				st, s = st.For(&edited), &edited
			}
			f := w.facts(now)
			kept := st.Health(f).Kept
			for i := range owed {
				if w.sick(i, now) {
					w.kept &^= set(i)
				}
			}
			w.kept |= kept
			shares := w.shares(s, weightsAt(s, now), kept, now)
			d, err := split.Decide(s, st, f)
			if err != nil && !errors.Is(err, split.ErrUnhealthy) {
				t.Fatal(err)
			}
			for i, share := range shares {
				owed[i] += share
			}
			if err == nil && d.Reason == split.ByWeight {
				owed[d.Backend]--
			} else { // whose turn it was is not told
				most := -1
				for i := range owed {
					if w.sick(i, now) && !kept.Has(i) && shares[i] > 0 && (most < 0 || owed[i] > owed[most]) {
						most = i
					}
				}
				owed[most]--
			}
			for i, o := range owed {
				if w.sick(i, now) {
					continue
				}
				if highest = max(highest, math.Abs(o)); math.Abs(o) >= 2 {
					t.Fatalf("%d is off by %.3f: %v, of shares %v", i, o, owed, shares)
				}
			}
		}
	})
	t.Logf("off by %.3f at the most", highest)
}
