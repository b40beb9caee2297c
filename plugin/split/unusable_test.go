package split_test

import (
	"errors"
	"testing"
	"time"

	"kong-traffic-split/plugin/split"

	"github.com/google/go-cmp/cmp"
)

// watched has every backend ejected for a minute by its first failure.
func watched(s *split.Split) *split.Split {
	for i := range s.Backends {
		s.Backends[i].Passive = &split.Passive{Failures: 1, Ejection: time.Minute}
	}
	return s
}

// 1 : 8 : 1 with the first one out, in each of the ways in which it can be.
func TestShareOfTheOneThatIsOut(t *testing.T) {
	for _, way := range []struct {
		name  string
		facts split.Facts
		eject bool
		is    error
	}{
		{"does not exist", split.Facts{Down: set(0)}, false, split.ErrUnavailable},
		{"unhealthy", split.Facts{Unhealthy: set(0)}, false, split.ErrUnhealthy},
		{"ejected", split.Facts{}, true, split.ErrUnhealthy},
		{"both", split.Facts{Down: set(0), Unhealthy: set(0)}, true, split.ErrUnavailable},
	} {
		for _, policy := range []struct {
			on     split.OnUnavailable
			want   []int
			failed int
			reason split.Reason // of what takes its place
		}{
			{split.Fail, []int{0, 800, 100}, 100, ""},
			{split.Redistribute, []int{0, 889, 111}, 0, split.ByWeight},
			{split.ToFallback, []int{0, 800, 200}, 0, split.ByFallback},
		} {
			t.Run(way.name+"/"+string(policy.on), func(t *testing.T) {
				s := watched(smooth(1, 8, 1))
				s.OnUnavailable, s.Fallback = policy.on, 2
				st := split.NewState(s)
				if way.eject {
					st.Observe(failed(st, 0), noon)
				}
				counts, failed, replaced := make([]int, 3), 0, 0
				for range 1000 {
					facts := way.facts
					facts.Now = noon
					d, err := split.Decide(s, st, &facts)
					switch {
					case err != nil && !errors.Is(err, way.is):
						t.Fatal(err)
					case err != nil:
						failed++
						continue
					case d.Reason == policy.reason:
						replaced++
					}
					counts[d.Backend]++
				}
				if diff := cmp.Diff(policy.want, counts); diff != "" || failed != policy.failed {
					t.Errorf("%d failed, want %d (-want +got):\n%s", failed, policy.failed, diff)
				}
				if policy.on == split.ToFallback && replaced != 100 {
					t.Errorf("the fallback took the place of %d, want 100", replaced)
				}
			})
		}
	}
}

// A backend that was asked for by name is replaced like one whose turn it was.
func TestForcedAndRuledBackendThatCannotBeUsed(t *testing.T) {
	type result struct {
		backend int
		reason  split.Reason
		message string
	}
	for name, test := range map[string]struct {
		on    split.OnUnavailable
		facts split.Facts
		want  result
		is    error
	}{
		"fail":         {split.Fail, split.Facts{Down: set(2)}, result{message: `backend unavailable: "2" cannot be used, and on_unavailable is "fail"`}, split.ErrUnavailable},
		"fail, ill":    {split.Fail, split.Facts{Unhealthy: set(2)}, result{message: `backend unhealthy: "2" cannot be used, and on_unavailable is "fail"`}, split.ErrUnhealthy},
		"redistribute": {split.Redistribute, split.Facts{Down: set(2)}, result{backend: 0, reason: split.ByWeight}, nil},
		"fallback":     {split.ToFallback, split.Facts{Unhealthy: set(2)}, result{backend: 3, reason: split.ByFallback}, nil},
		"fallback, not there either": {
			split.ToFallback,
			split.Facts{Down: set(2, 3)},
			result{message: `backend unavailable: "2" cannot be used, nor can its fallback "3"`},
			split.ErrUnavailable,
		},
		"fallback, which is ill": {
			split.ToFallback,
			split.Facts{Down: set(2), Unhealthy: set(3)},
			result{message: `backend unhealthy: "2" cannot be used, nor can its fallback "3"`},
			split.ErrUnhealthy,
		},
		"ill, and no fallback": {
			split.ToFallback,
			split.Facts{Down: set(3), Unhealthy: set(2)},
			result{message: `backend unhealthy: "2" cannot be used, nor can its fallback "3"`},
			split.ErrUnhealthy,
		},
	} {
		for _, by := range []string{"force", "rule"} {
			t.Run(name+"/"+by, func(t *testing.T) {
				s := smooth(1, 1, 0, 0)
				s.OnUnavailable, s.Fallback = test.on, 3
				facts := test.facts
				if by == "rule" {
					s.Rules = []split.Rule{{Backend: 2}}
				} else {
					s.ForceHeader, facts.Headers = "X-Backend", []split.Header{{Name: "x-backend", Value: "2"}}
				}
				d, err := split.Decide(s, split.NewState(s), &facts)
				checkError(t, err, test.is, test.want.message)
				if d.Backend != test.want.backend || d.Reason != test.want.reason {
					t.Errorf("%d by %s, want %d by %s", d.Backend, d.Reason, test.want.backend, test.want.reason)
				}
			})
		}
	}
}

// Where everyone is taken for ill, redistribute takes nobody for ill; but who does
// not exist gets nothing.
func TestRedistributeDoubtsHealthBeforeItFails(t *testing.T) {
	everyone := set(0, 1, 2)
	for _, test := range []struct {
		name  string
		facts split.Facts
		eject []int
		want  []int
	}{
		{"one is well", split.Facts{Unhealthy: set(0, 1)}, nil, []int{0, 0, 10}},
		{"nobody is", split.Facts{Unhealthy: everyone}, nil, []int{1, 8, 1}},
		{"nobody is, nor is one of weight 0", split.Facts{Unhealthy: set(0, 1, 2, 3)}, nil, []int{1, 8, 1}},
		{"some ill, others ejected", split.Facts{Unhealthy: set(0, 1)}, []int{2}, []int{1, 8, 1}},
		{"some ill, others not there", split.Facts{Unhealthy: set(0, 2), Down: set(1)}, nil, []int{5, 0, 5}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := watched(smooth(1, 8, 1, 0))
			s.OnUnavailable = split.Redistribute
			st := split.NewState(s)
			for _, i := range test.eject {
				st.Observe(failed(st, i), noon)
			}
			counts := make([]int, 4)
			for range 10 {
				facts := test.facts
				facts.Now = noon
				d, err := split.Decide(s, st, &facts)
				if err != nil {
					t.Fatal(err)
				}
				counts[d.Backend]++
			}
			if diff := cmp.Diff(append(test.want, 0), counts); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	s := smooth(1, 8, 1)
	s.OnUnavailable = split.Redistribute
	facts := split.Facts{Down: everyone, Unhealthy: everyone}
	_, err := split.Decide(s, split.NewState(s), &facts)
	checkError(t, err, split.ErrUnavailable, `backend unavailable: "1" cannot be used, nor can "0", "2"`)
}

// Each key that goes elsewhere for a while has its own place there.
func TestRedistributedKeysKeepTheirPlaces(t *testing.T) {
	s := byPath(1, 8, 1)
	s.OnUnavailable = split.Redistribute
	st := split.NewState(s)
	moved := map[int]int{}
	for k := range 1000 {
		key := string(rune('a'+k%26)) + string(rune('a'+k/26))
		before := place(t, s, st, key)
		facts := split.Facts{Path: key, Unhealthy: set(1)}
		d, err := split.Decide(s, st, &facts)
		if err != nil || d.Reason != split.ByHash || before != 1 && d.Backend != before {
			t.Fatalf("%s was at %d and is at %d by %s (%v)", key, before, d.Backend, d.Reason, err)
		}
		if before == 1 {
			moved[d.Backend]++
		}
	}
	if moved[0] < 300 || moved[2] < 300 || moved[1] > 0 {
		t.Errorf("moved %v, want about 400 to each of the others", moved)
	}
}
