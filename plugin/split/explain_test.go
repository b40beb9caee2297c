package split_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"kong-traffic-split/plugin/split"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func TestExplain(t *testing.T) {
	shop := func() *split.Split {
		s := smooth(1, 1, 0)
		for i, name := range []string{"stable", "canary", "spare"} {
			s.Backends[i].Name = name
		}
		s.Identity, s.OnUnavailable, s.Fallback = "shop", split.ToFallback, 2
		s.ForceHeader = "X-Backend"
		s.Rules = []split.Rule{
			{Match: split.Match{Methods: []string{"PUT"}}, Backend: 1},
			{Match: split.Match{Methods: []string{"POST"}}, Weights: []int{3, 1, 0}},
		}
		s.Session = sessions().Session
		s.HashOn = []split.Key{{On: split.OnHeader, Name: "X-User"}, {On: split.OnIP}}
		s.Ramp = &split.Ramp{Backend: 1, To: 5000, Start: noon.Add(-time.Hour), Duration: 2 * time.Hour}
		return s
	}
	forced := []split.Header{{Name: "X-Backend", Value: "spare"}}
	pinned := pinTo(t, shop(), "canary", noon)
	skipped := func(part, verdict string) split.Step { return split.Step{Part: part, Verdict: verdict} }
	took := func(part, verdict string) split.Step { return split.Step{part, verdict, true} }
	var (
		noForce   = skipped("force_header", "the request has no header X-Backend")
		noRules   = []split.Step{skipped("rules[0]", "does not hold"), skipped("rules[1]", "does not hold")}
		noSession = skipped("session", "the request has no valid cookie pin")
		noKeys    = []split.Step{skipped("hash_on", "the request has no header X-User"), skipped("hash_fallback", "the request has no ip")}
	)
	steps := func(parts ...any) (all []split.Step) {
		for _, part := range parts {
			switch part := part.(type) {
			case split.Step:
				all = append(all, part)
			case []split.Step:
				all = append(all, part...)
			}
		}
		return all
	}
	for _, test := range []struct {
		name   string
		change func(s *split.Split)
		facts  split.Facts
		want   []split.Step
	}{
		{"weight", nil, split.Facts{}, steps(noForce, noRules, noSession, noKeys, took("weight", `"stable", which has 75 % by weight; the ramp of "canary" is at 25 %`))},
		{"force", nil, split.Facts{Headers: forced}, steps(noRules, took("force_header", `"spare"`))},
		{
			"force of nobody", nil,
			split.Facts{Method: "PUT", Headers: []split.Header{{Name: "x-backend", Value: `a"b`}}},
			steps(skipped("force_header", `X-Backend: "a\"b" is the name of no backend`), took("rules[0]", `"canary"`)),
		},
		{"rule", nil, split.Facts{Method: "PUT"}, steps(noForce, took("rules[0]", `"canary"`))},
		{
			"a rule's weights", nil,
			split.Facts{Method: "POST"},
			steps(noForce, noRules[0], noSession, noKeys, took("weight", `"stable", which has 75 % by weight of rules[1]`)),
		},
		{"session", nil, split.Facts{Cookies: pinned}, steps(noForce, noRules, took("session", `"canary"`))},
		{
			"session of a backend that is out", nil,
			split.Facts{Cookies: pinned, Unhealthy: set(1)},
			steps(noForce, noRules, skipped("session", `the cookie names "canary", which cannot be used`), noKeys, took("weight", `"stable", which has 75 % by weight; the ramp of "canary" is at 25 %`)),
		},
		{
			"key", nil,
			split.Facts{IP: netip.MustParseAddr("203.0.113.7")},
			steps(noForce, noRules, noSession, noKeys[0], took("hash", `"stable", which has 75 % by weight; the ramp of "canary" is at 25 %`)),
		},
		{
			"fallback", nil,
			split.Facts{Unhealthy: set(0)},
			steps(noForce, noRules, noSession, noKeys, skipped("on_unavailable", `"stable" cannot be used: fallback`), took("fallback", `"spare"`)),
		},
		{
			"nobody", nil,
			split.Facts{Unhealthy: set(0, 2)},
			steps(noForce, noRules, noSession, noKeys, took("on_unavailable", `backend unhealthy: "stable" cannot be used, nor can its fallback "spare"`)),
		},
		{
			"a rule's backend that is out, by the split's own weights",
			func(s *split.Split) { s.OnUnavailable = split.Redistribute },
			split.Facts{Method: "PUT", Down: set(1)},
			steps(noForce, skipped("on_unavailable", `"canary" cannot be used: redistribute`), noKeys, took("weight", `"stable", which has 75 % by weight; the ramp of "canary" is at 25 %`)),
		},
		{
			"redistributed, without a key",
			func(s *split.Split) { s.OnUnavailable = split.Redistribute },
			split.Facts{Down: set(0)},
			steps(noForce, noRules, noSession, noKeys, skipped("on_unavailable", `"stable" cannot be used: redistribute`), took("weight", `"canary", which has 25 % by weight; the ramp of "canary" is at 25 %`)),
		},
		{
			"no weights",
			func(s *split.Split) {
				*s = split.Split{Backends: []split.Backend{{Name: "only"}}}
			},
			split.Facts{},
			steps(took("weight", `no backend takes traffic: one of "only" has to have a weight above 0`)),
		},
	} {
		s := shop()
		if test.change != nil {
			test.change(s)
		}
		test.facts.Now = noon
		got, _, _ := split.Explain(s, split.NewState(s), &test.facts)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

// Explain decides as Decide does, whatever has been decided before.
func TestExplainDecidesAsDecideDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, facts := everything()
		facts.Consumer = split.Consumer{} // so that the address is the key
		s.Algorithm = rapid.SampledFrom([]split.Algorithm{split.Smooth, split.Random}).Draw(t, "algorithm")
		s.OnUnavailable = rapid.SampledFrom([]split.OnUnavailable{split.Fail, split.Redistribute, split.ToFallback}).Draw(t, "on_unavailable")
		if rapid.Bool().Draw(t, "by turns") {
			s.HashOn = nil
		}
		if rapid.Bool().Draw(t, "without a session") {
			s.Session = nil
		}
		deciding, explaining := split.NewState(s), split.NewState(s)
		out := rapid.Map(rapid.Uint64(), func(bits uint64) split.Set { return split.Set(bits) & 0xffff })
		for k := range rapid.IntRange(1, 30).Draw(t, "requests") {
			one := facts
			one.Now = noon.Add(time.Duration(k) * time.Minute)
			one.Random = rapid.Uint64().Draw(t, "random")
			one.Down, one.Unhealthy = out.Draw(t, "down")&out.Draw(t, "and"), out.Draw(t, "unhealthy")
			one.Query = fmt.Sprint("v=", rapid.IntRange(1, 3).Draw(t, "v"))
			one.IP = netip.AddrFrom4(rapid.Map(rapid.Uint32(), func(n uint32) [4]byte { return [4]byte{byte(n), byte(n >> 8), 1, 1} }).Draw(t, "ip"))
			other := one
			want, wantErr := split.Decide(s, deciding, &one)
			steps, got, gotErr := split.Explain(s, explaining, &other)
			if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(split.Decision{})); diff != "" || fmt.Sprint(wantErr) != fmt.Sprint(gotErr) {
				t.Fatalf("decided %v, explained %v (-decided +explained):\n%s", wantErr, gotErr, diff)
			}
			for i, step := range steps {
				if step.Decided != (i == len(steps)-1) {
					t.Fatalf("only the last step decides: %+v", steps)
				}
			}
		}
	})
}
