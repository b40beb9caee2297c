package plugin_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/types/known/structpb"

	"kong-traffic-split/plugin"
)

// Where outcomes matter and Kong tells none, for so long that it is no chance, log and
// status say so, once and for as long as it is so.
func TestNoOutcomesCome(t *testing.T) {
	for _, test := range []struct {
		name          string
		config        string
		before, after int           // decisions, and more of them
		pause         time.Duration // between those
		missing       bool
	}{
		{"enough, and long ago", watched, 50, 1, time.Minute, true},
		{"too few", watched, 49, 1, time.Minute, false},
		{"not long ago", watched, 50, 1, time.Minute - 1, false},
		{"many, not long ago", watched, 1, 1000, time.Second, false},
		{"a guard", guarded, 50, 1, time.Hour, true},
		{"nothing depends on it", ab, 50, 50, time.Hour, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				with := options
				with.Log = slog.New(slog.NewTextHandler(&log, nil))
				p := plugin.New(with)
				i := start(t, p, onRoute+test.config)
				decide := func(n int) {
					for range n {
						if err := web().access(t, i); err != nil {
							t.Fatal(err)
						}
					}
				}
				missing := func() bool {
					return !p.Status(time.Now())[0].OutcomesMissing.IsZero()
				}
				decide(test.before)
				time.Sleep(test.pause)
				decide(test.after)
				if missing() != test.missing {
					t.Errorf("missing: %t", missing())
				}
				decide(10)
				said := strings.Count(log.String(), "Kong tells no outcomes of requests")
				if said == 1 != test.missing || said > 1 {
					t.Errorf("said %d times:\n%s", said, &log)
				}
				if test.config == ab {
					return
				}
				outcome(t, i, "service", 200)
				if missing() {
					t.Error("missing still, when one has come")
				}
				decide(50)
				time.Sleep(time.Minute)
				if !missing() {
					t.Error("not missing, when none comes any more")
				}
			})
		})
	}
}

// Where requests last, the outcomes of a few say that Kong tells them; what a client
// breaks off is one.
func TestOutcomesThatComeLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plugin.New(options)
		i := start(t, p, onRoute+watched)
		for range 10 {
			for range 49 {
				if err := web().access(t, i); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Hour)
			if since := p.Status(time.Now())[0].OutcomesMissing; !since.IsZero() {
				t.Fatalf("missing since %s", since)
			}
			outcome(t, i, "service", 499)
		}
	})
}

// What was decided while nothing depended on outcomes, or before that, has none to
// wait for once something does.
func TestOutcomesOfBeforeTheGuard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plugin.New(options)
		for _, config := range []string{guarded, ab} {
			i := start(t, p, onRoute+config)
			for range 50 {
				if err := web().access(t, i); err != nil {
					t.Fatal(err)
				}
			}
		}
		time.Sleep(time.Hour)
		start(t, p, onRoute+guarded)
		if since := p.Status(time.Now())[0].OutcomesMissing; !since.IsZero() {
			t.Errorf("missing since %s", since)
		}
	})
}

// A guard says whether it can judge.
func TestGuardsThatCannotJudge(t *testing.T) {
	p := plugin.New(options)
	i := start(t, p, onRoute+guarded)
	var judges []bool
	for range 2 {
		outcome(t, i, "service", 200)
		judges = append(judges, p.Status(time.Now())[0].Ramp.Guard.Judges)
	}
	if judges[0] || !judges[1] {
		t.Errorf("after one and two requests of two: %v", judges)
	}
}

// A latency counts up to the first bound that it does not exceed, and a class by its
// status.
func TestOutcomesAreCounted(t *testing.T) {
	p := plugin.New(options)
	i := start(t, p, onRoute+watched)
	for _, tt := range []struct {
		status int32
		ms     float64
	}{{100, 0}, {200, 5}, {204, 5.1}, {301, 100}, {404, 9999}, {500, 10001}, {599, 60000}} {
		k := web()
		k.text["response.get_source"], k.status, k.shared = "service", tt.status, map[string]string{"traffic_split": i.MarkFor("b")}
		k.ctx = map[string]*structpb.Value{"KONG_WAITING_TIME": structpb.NewNumberValue(tt.ms)}
		if err := k.run(t, "log", i); err != nil {
			t.Fatal(err)
		}
	}
	outcome(t, i, "error", 502)
	want := &plugin.Outcomes{
		OK: 5, Failed: 3, Classes: map[string]uint64{"1xx": 1, "2xx": 2, "3xx": 1, "4xx": 1, "5xx": 2, "no_answer": 1},
		Latencies: plugin.Latencies{Requests: 7, Sum: 80.1101, UpTo: [len(plugin.LatencyBounds)]uint64{2, 3, 3, 3, 4, 4, 4, 4, 4, 4, 5}},
	}
	if diff := cmp.Diff(want, p.Status(time.Now())[0].Backends[0].Outcomes, cmpopts.EquateApprox(0, 1e-9)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
