package rollout_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/rollout"
)

var noon = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

// read parses the JSON of a split.
func read(t interface {
	Helper()
	Fatal(...any)
}, text string,
) (*config.Node, *config.Config) {
	t.Helper()
	n, err := config.ParseKong([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	c, problems := config.DecodeRow(n)
	if problems != nil {
		t.Fatal(problems.Error())
	}
	return n, c
}

// ramped is a split with a ramp that has these parameters as well.
func ramped(parameters string) string {
	return `{"backends":[{"name":"stable","service":true,"weight":100},{"name":"canary","host":"b","weight":0}],"ramp":{"backend":"canary",` + parameters + `}}`
}

const (
	evenly = `"start":"2026-12-01T11:00:00Z","duration":14400`
	plan   = `"start":"2026-12-01T11:50:00Z","plan":[{"share":5,"for":300},{"share":20},{"share":50,"for":600},{"share":100}]`
)

func percents(x float64) *float64 { return &x }

func TestCommands(t *testing.T) {
	weights := `{"backends":[{"name":"stable","service":true,"weight":90},{"name":"canary","host":"b","weight":10}]}`
	pinned := `{"session":{"secret":"sixteen characters","max_age":3600,"generation":3},` + weights[1:]
	type command = func(*config.Config) (rollout.Change, error)
	set := func(weights ...rollout.Weight) command {
		return func(c *config.Config) (rollout.Change, error) { return rollout.Set(c, weights...) }
	}
	drain := func(name string) command {
		return func(c *config.Config) (rollout.Change, error) { return rollout.Drain(c, name) }
	}
	begin := func(s rollout.Start) command {
		return func(c *config.Config) (rollout.Change, error) { return rollout.Begin(c, s, noon) }
	}
	at := func(f func(*config.Config, time.Time) (rollout.Change, error), now time.Time) command {
		return func(c *config.Config) (rollout.Change, error) { return f(c, now) }
	}
	widen := func(to *float64) command {
		return func(c *config.Config) (rollout.Change, error) { return rollout.Widen(c, to, noon) }
	}
	ended := func(do command) command {
		return func(c *config.Config) (rollout.Change, error) {
			out, err := do(c)
			if err == nil {
				err = rollout.EndSessions(c, &out)
			}
			return out, err
		}
	}
	two := 2
	for _, test := range []struct {
		name   string
		before string
		do     command
		want   string // the difference, the notes, and the shares at noon; or the error
	}{
		{"set", weights, set(rollout.Weight{"stable", "80"}, rollout.Weight{"canary", "20"}), `
- backends[0].weight: 90
+ backends[0].weight: 80
- backends[1].weight: 10
+ backends[1].weight: 20
stable 80, canary 20`},
		{"set what is so", weights, set(rollout.Weight{"stable", "90"}), "\nstable 90, canary 10"},
		{"set an unknown one", weights, set(rollout.Weight{"canray", "20"}), `
"canray" is not the name of a backend; there are stable, canary`},
		{"set twice", weights, set(rollout.Weight{"canary", "20"}, rollout.Weight{"canary", "30"}), "\ncanary is given twice"},
		{"set no weight", weights, set(rollout.Weight{"canary", "10%"}), `
backends[1].weight: expected an integer, not the string "10%"; weights are relative: 9 and 1 share as 90 % and 10 % do`},
		{"set below 0", weights, set(rollout.Weight{"canary", "-3"}), `
backends[1].weight: -3 is not in 0..1000000`},
		{"set the ramp's", ramped(evenly), set(rollout.Weight{"canary", "0"}), `
canary has its share from the ramp, so that its weight does nothing: take ramp widen, hold, abort or finish`},
		{"drain", pinned, drain("canary"), `
- backends[1].weight: 10
+ backends[1].weight: 0
who has a session with canary stays there until it expires, 1h0m0s after it was given; with --end-sessions everybody is chosen for anew
stable 100, canary 0`},
		{"drain and end sessions", pinned, ended(drain("canary")), `
- backends[1].weight: 10
+ backends[1].weight: 0
- session.generation: 3
+ session.generation: 4
all sessions end with this change: everybody is chosen for anew
stable 100, canary 0`},
		{"end what is not there", weights, ended(drain("canary")), "\nhas no session, so that there is none to end"},
		{"drain the last one", weights, set(rollout.Weight{"stable", "0"}, rollout.Weight{"canary", "0"}), `
no backend would take new clients, and Kong would answer all of them with 500; give another one a weight first`},

		{"start", weights, begin(rollout.Start{Backend: "canary", Duration: 600, Steps: &two, Guard: []config.Member{{Key: "max_error_ratio", Value: config.Float(0.05)}}}), `
- backends[1].weight: 10
+ backends[1].weight: 0
+ ramp: {"backend":"canary","from":10,"start":"2026-12-01T12:00:00Z","duration":600,"steps":2,"guard":{"max_error_ratio":0.05}}
the weight of canary becomes 0: while there is a ramp it does nothing, and should somebody take the ramp out, it would be the share
stable 90, canary 10`},
		{
			"start a plan", ramped(evenly)[:0] + `{"backends":[{"name":"stable","service":true},{"name":"canary","host":"b","weight":0}]}`,
			begin(rollout.Start{Backend: "canary", Plan: []config.PlanStep{{Share: 5, For: 600}, {Share: 12.5}, {Share: 100}}}), `
+ ramp: {"backend":"canary","start":"2026-12-01T12:00:00Z","plan":[{"share":5,"for":600},{"share":12.5},{"share":100}]}
stable 95, canary 5`,
		},
		{"start again", ramped(evenly + `,"hold":7`), begin(rollout.Start{From: percents(10)}), `
+ ramp.from: 10
- ramp.start: "2026-12-01T11:00:00Z"
+ ramp.start: "2026-12-01T12:00:00Z"
- ramp.hold: 7
stable 90, canary 10`},
		{"start another way", ramped(evenly), begin(rollout.Start{Backend: "canary", Plan: []config.PlanStep{{Share: 1}}}), `
+ ramp.plan: [{"share":1}]
- ramp.duration: 14400
- ramp.start: "2026-12-01T11:00:00Z"
+ ramp.start: "2026-12-01T12:00:00Z"
stable 99, canary 1`},
		{"start of whom", weights, begin(rollout.Start{Duration: 5}), "\nhas no ramp: say which backend's share is to change: ramp start SPLIT BACKEND"},
		{"start how", weights, begin(rollout.Start{Backend: "canary"}), "\nneeds --duration or --plan"},
		{"start another one", ramped(evenly), begin(rollout.Start{Backend: "stable"}), "\nhas a ramp of canary already: hold and finish it first, or edit it by hand"},
		{"start both ways", weights, begin(rollout.Start{Backend: "canary", Duration: 5, Plan: []config.PlanStep{{Share: 1}}}), "\n--plan goes in the place of --to, --duration and --steps"},

		{"hold", ramped(evenly), at(rollout.Hold, noon), `
+ ramp.hold: 25
stable 75, canary 25`},
		{"hold again", ramped(evenly + `,"hold":7`), at(rollout.Hold, noon), "\nit is held already, at 7 %\nstable 93, canary 7"},
		{"hold nothing", weights, at(rollout.Hold, noon), "\nhas no ramp: begin one with ramp start, or take set and drain"},

		{"resume", ramped(evenly + `,"hold":12.34`), at(rollout.Resume, noon), `
- ramp.hold: 12.34
- ramp.start: "2026-12-01T11:00:00Z"
+ ramp.start: "2026-12-01T11:30:23.04Z"
stable 87.66, canary 12.34`},
		{"resume in steps", ramped(evenly + `,"steps":4,"hold":30`), at(rollout.Resume, noon), `
- ramp.hold: 30
stable 75, canary 25`},
		{"resume a plan", ramped(plan + `,"hold":50`), at(rollout.Resume, noon), `
- ramp.hold: 50
+ ramp.plan[1].for: 1
- ramp.start: "2026-12-01T11:50:00Z"
+ ramp.start: "2026-12-01T11:54:59Z"
stable 50, canary 50`},
		{"resume what was aborted", ramped(plan + `,"hold":0`), at(rollout.Resume, noon), `
- ramp.hold: 0
- ramp.start: "2026-12-01T11:50:00Z"
+ ramp.start: "2026-12-01T12:00:00Z"
stable 95, canary 5`},
		{"resume what goes", ramped(evenly), at(rollout.Resume, noon), "\nit is not held, and goes on by the clock\nstable 75, canary 25"},

		{"widen", ramped(evenly), widen(percents(30)), `
- ramp.start: "2026-12-01T11:00:00Z"
+ ramp.start: "2026-12-01T10:48:00Z"
stable 70, canary 30`},
		{"widen to what", ramped(evenly), widen(nil), "\nhas no steps: say to which share, as in ramp widen SPLIT 35"},
		{"widen back", ramped(evenly), widen(percents(20)), "\nhas 25 %: 20 % is not further on its way from 0 % to 100 %"},
		{"widen in steps", ramped(evenly + `,"steps":4`), widen(nil), `
- ramp.start: "2026-12-01T11:00:00Z"
+ ramp.start: "2026-12-01T10:00:00Z"
stable 50, canary 50`},
		{"widen before it begins", ramped(`"start":"2026-12-01T15:00:00Z","duration":60,"steps":2`), widen(nil), `
- ramp.start: "2026-12-01T15:00:00Z"
+ ramp.start: "2026-12-01T11:59:30Z"
stable 50, canary 50`},
		{"widen what is held", ramped(evenly + `,"hold":7`), widen(percents(30)), `
- ramp.hold: 7
+ ramp.hold: 30
stable 70, canary 30`},
		{"widen a step that waits", ramped(plan), widen(nil), `
+ ramp.plan[1].for: 300
stable 50, canary 50`},
		{"widen over a step", ramped(plan), widen(percents(100)), `
+ ramp.plan[1].for: 1
- ramp.start: "2026-12-01T11:50:00Z"
+ ramp.start: "2026-12-01T11:44:59Z"
stable 0, canary 100`},
		{"widen to no step", ramped(plan), widen(percents(30)), "\nhas no step of 30 %; its steps are 5 %, 20 %, 50 %, 100 %. For a share between them, hold the ramp first"},
		{"widen a plan that is held", ramped(plan + `,"hold":5`), widen(nil), `
- ramp.hold: 5
+ ramp.hold: 20
stable 80, canary 20`},
		{"widen at the end", ramped(`"start":"2026-12-01T11:00:00Z","duration":60,"steps":2`), widen(nil), "\nis at its last step, 100 %: finish it"},
		{"widen down", ramped(evenly + `,"from":80,"to":0,"steps":4`), widen(nil), `
- ramp.start: "2026-12-01T11:00:00Z"
+ ramp.start: "2026-12-01T10:00:00Z"
stable 60, canary 40`},

		{"finish", ramped(`"start":"2026-12-01T11:00:00Z","duration":60`), at(rollout.Finish, noon), `
- backends[0].weight: 100
+ backends[0].weight: 0
- backends[1].weight: 0
+ backends[1].weight: 100
- ramp: {"backend":"canary","start":"2026-12-01T11:00:00Z","duration":60}
stable 0, canary 100`},
		{"finish half way", ramped(evenly + `,"hold":50`), at(rollout.Finish, noon), `
- backends[1].weight: 0
+ backends[1].weight: 100
- ramp: {"backend":"canary","start":"2026-12-01T11:00:00Z","duration":14400,"hold":50}
stable 50, canary 50`},
		{"finish at thirds", ramped(evenly + `,"hold":33.33`), at(rollout.Finish, noon), `
- backends[0].weight: 100
+ backends[0].weight: 6667
- backends[1].weight: 0
+ backends[1].weight: 3333
- ramp: {"backend":"canary","start":"2026-12-01T11:00:00Z","duration":14400,"hold":33.33}
stable 66.67, canary 33.33`},
		{"finish on the way", ramped(evenly), at(rollout.Finish, noon), "\nhas 25 %, and is on its way to 100 %: wait for that, ramp widen it, or ramp hold it and finish it where it is"},
		{"abort", strings.Replace(ramped(evenly), "{", `{"session":{"secret":"sixteen characters"},`, 1), at(rollout.Abort, noon), `
+ ramp.hold: 0
ramp start begins it anew, and ramp finish takes it out
who has a session with canary stays there until the browser is closed; with --end-sessions everybody is chosen for anew
stable 100, canary 0`},
		{"finish what was aborted", ramped(evenly + `,"hold":0`), at(rollout.Finish, noon), `
- ramp: {"backend":"canary","start":"2026-12-01T11:00:00Z","duration":14400,"hold":0}
stable 100, canary 0`},
	} {
		got := "\n" + outcome(t, test.before, test.do)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: -want +got\n%s", test.name, diff)
		}
	}
}

// outcome is what a command does to a split, in words.
func outcome(t *testing.T, before string, do func(*config.Config) (rollout.Change, error)) string {
	n, c := read(t, before)
	change, err := do(c)
	if err != nil {
		return err.Error()
	}
	after, err := config.Apply(n, change.Edits...)
	if err != nil {
		t.Fatal(err)
	}
	is, problems := config.DecodeRow(after)
	if problems != nil {
		return problems.Error()
	}
	lines := append(config.Difference(n, change.Edits), change.Notes...)
	if change.Sessions != "" {
		lines = append(lines, change.Sessions)
	}
	var shares []string
	for _, s := range rollout.Shares(is, noon) {
		shares = append(shares, fmt.Sprintf("%s %v", s.Backend, s.Percent))
	}
	return strings.Join(append(lines, strings.Join(shares, ", ")), "\n")
}

// Whatever the ramp and the moment: to hold it and to have it go on again does not change
// the share, and to widen it never brings it back. A step lasts a millisecond at least, as
// times have no more digits.
func TestHoldAndResumeKeepTheShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from, to := rapid.IntRange(0, 10000).Draw(t, "from"), rapid.IntRange(0, 10000).Draw(t, "to")
		if from == to {
			to = (to + 1) % 10001
		}
		course := fmt.Sprintf(`"from":%v,"to":%v,"duration":%v,"steps":%d`, float64(from)/100, float64(to)/100,
			float64(rapid.IntRange(10_000, 1e9).Draw(t, "duration"))/1000, rapid.SampledFrom([]int{0, 1, 2, 3, 7, 100, 9999}).Draw(t, "steps"))
		if rapid.Bool().Draw(t, "plan") {
			var steps []string
			share := from
			for range rapid.IntRange(1, 5).Draw(t, "number") {
				share = min(share+rapid.IntRange(1, 2000).Draw(t, "more"), 10000)
				step := fmt.Sprintf(`{"share":%v`, float64(share)/100)
				if rapid.Bool().Draw(t, "timed") {
					step += fmt.Sprintf(`,"for":%v`, float64(rapid.IntRange(1, 1e6).Draw(t, "for"))/1000)
				}
				steps = append(steps, step+"}")
			}
			course = fmt.Sprintf(`"from":%v,"plan":[%s]`, float64(from)/100, strings.Join(steps, ","))
		}
		n, c := read(t, ramped(`"start":"2026-12-01T12:00:00Z",`+course))
		now := noon.Add(time.Duration(rapid.Int64Range(-1e9, 2e15).Draw(t, "after")))
		begun := !now.Before(noon)
		share := c.Compile("").Ramp.ShareAt(now)

		do := func(f func(*config.Config, time.Time) (rollout.Change, error), now time.Time) {
			change, err := f(c, now)
			if err != nil {
				t.Fatal(err)
			}
			if n, err = config.Apply(n, change.Edits...); err != nil {
				t.Fatal(err)
			}
			var problems config.Problems
			if c, problems = config.DecodeRow(n); problems != nil {
				t.Fatal(problems.Error())
			}
		}
		do(rollout.Hold, now)
		now = now.Add(time.Duration(rapid.Int64Range(0, 1e15).Draw(t, "later")))
		if got := c.Compile("").Ramp.ShareAt(now); got != share {
			t.Fatalf("held at %d, it has %d", share, got)
		}
		do(rollout.Resume, now)
		got := c.Compile("").Ramp.ShareAt(now)
		if got != share && begun {
			t.Fatalf("it went on from %d with %d", share, got)
		}
		if c.Ramp.Hold != nil {
			t.Fatal("it is held still")
		}
		share = got
		change, err := rollout.Widen(c, nil, now)
		if err != nil {
			return // at its last step, or without steps
		}
		do(func(*config.Config, time.Time) (rollout.Change, error) { return change, nil }, now)
		if got := c.Compile("").Ramp.ShareAt(now); (got-share)*sign(c) < 0 {
			t.Fatalf("widened from %d to %d", share, got)
		}
	})
}

func sign(c *config.Config) int {
	if r := c.Compile("").Ramp; len(r.Plan) == 0 && r.To < r.From {
		return -1
	}
	return 1
}

// The weights that finish leaves give the share to within a ten thousandth, and leave the
// others their proportions.
func TestFinishKeepsTheShares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.IntRange(0, 1_000_000), 1, 5).Draw(t, "weights")
		weights[0] = max(weights[0], 1)
		hold := rapid.IntRange(0, 10000).Draw(t, "hold")
		backends := []string{`{"name":"canary","host":"c","weight":0}`}
		for i, w := range weights {
			backends = append(backends, fmt.Sprintf(`{"name":"b%d","host":"b%d","weight":%d}`, i, i, w))
		}
		n, c := read(t, fmt.Sprintf(`{"backends":[%s],"ramp":{"backend":"canary",%s,"hold":%v}}`, strings.Join(backends, ","), evenly, float64(hold)/100))
		change, err := rollout.Finish(c, noon)
		if err != nil {
			t.Fatal(err)
		}
		after, err := config.Apply(n, change.Edits...)
		if err != nil {
			t.Fatal(err)
		}
		is, problems := config.DecodeRow(after)
		if problems != nil {
			t.Fatal(problems.Error())
		}
		was := rollout.Shares(c, noon)
		for i, s := range rollout.Shares(is, noon) {
			if d := s.Percent - was[i].Percent; d > 0.01 || d < -0.01 {
				t.Fatalf("%s had %v and has %v", s.Backend, was[i].Percent, s.Percent)
			}
		}
	})
}
