package plugin_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/config"
)

// store is a state that outlives a process.
type store map[string][]byte

func (s store) Get(key string) []byte { return s[key] }
func (s store) Set(key string, value []byte) {
	if s[key] = value; value == nil {
		delete(s, key)
	}
}

func (s store) Keys(prefix string) (keys []string) {
	for _, key := range slices.Sorted(maps.Keys(s)) {
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	return keys
}

const guarded = `"ramp":{"backend":"b","start":"2026-01-31T18:00:00Z","duration":60,"guard":{"max_error_ratio":0.5,"min_requests":2}},` +
	`"backends":[{"name":"a","host":"10.0.0.1","host_header":"a","health":{"passive":{"failures":2}}},{"name":"b","host":"10.0.0.2","host_header":"b"}]`

// otherRamp is the same with another ramp.
var otherRamp = strings.Replace(guarded, `"duration":60`, `"duration":61`, 1)

// numbered is a config as the one that a worker of Kong's has loaded so many others
// before.
func numbered(seq int, config string) string {
	return fmt.Sprintf(`"__plugin_id":"p1","__seq__":%d,"route_id":"r1",%s`, seq, config)
}

// What outcomes have led to holds in the next process too, for the same split.
func TestStateIsSaved(t *testing.T) {
	plugins := map[string]func(kept store, config string) (*plugin.Plugin, *plugin.Instance){
		"a row": func(kept store, text string) (*plugin.Plugin, *plugin.Instance) {
			with := options
			with.State = kept
			p := plugin.New(with)
			return p, start(t, p, onRoute+text)
		},
		"a split file": func(kept store, text string) (*plugin.Plugin, *plugin.Instance) {
			with := options
			with.State = kept
			p := plugin.New(with)
			p.SetSplits(map[string]*config.Config{"web": mustConfig(t, "{"+text+"}")})
			return p, start(t, p, onRoute+`"split":"web"`)
		},
	}
	for name, begin := range plugins {
		t.Run(name, func(t *testing.T) {
			kept := store{}
			_, i := begin(kept, guarded)
			if got := targets(t, i); got != "b b" {
				t.Fatalf("at first the ramp's backend has all, but they go to %s", got)
			}
			early, waiting := begin(kept, guarded) // it is ready, and the other one goes on for a while
			fail(t, i)
			if got := targets(t, i); got != "a a" {
				t.Errorf("after errors requests go to %s", got)
			}
			for key := range kept {
				early.Recall(key)
			}
			if got := targets(t, waiting); got != "a a" {
				t.Errorf("in a process that waited they go to %s", got)
			}
			_, next := begin(kept, guarded)
			if got := targets(t, next); got != "a a" {
				t.Errorf("in the next process they go to %s", got)
			}
			_, other := begin(kept, otherRamp)
			if got := targets(t, other); got != "b b" {
				t.Errorf("with another ramp they go to %s", got)
			}
		})
	}
}

// What has befallen a ramp holds for each config that has it, whichever of Kong's
// workers still has which, and in the next process, whichever comes first there.
func TestARampStaysRolledBack(t *testing.T) {
	edited := strings.Replace(guarded, `"name":"a"`, `"weight":2,"name":"a"`, 1)
	kept := store{}
	with := options
	with.State = kept
	p := plugin.New(with)
	first, idle := start(t, p, numbered(1, guarded)), start(t, p, numbered(1, guarded))
	second := start(t, p, numbered(2, edited))
	first.Close()
	fail(t, second)
	third := start(t, p, numbered(3, guarded))
	second.Close()
	if got := targets(t, third); got != "a a" {
		t.Errorf("with the weights from before the requests go to %s", got)
	}
	idle.Close()
	for _, order := range [][]string{{otherRamp, edited}, {edited, otherRamp}} {
		next := plugin.New(with)
		for i, config := range order {
			want := "a a"
			if config == otherRamp {
				want = "b b"
			}
			if got := targets(t, start(t, next, numbered(i, config))); got != want {
				t.Errorf("in the next process they go to %s, want %s", got, want)
			}
		}
	}

	// Another ramp is a new beginning, and so is this one after that.
	other := start(t, p, numbered(4, otherRamp))
	third.Close()
	if len(kept.Keys("split/")) > 0 {
		t.Errorf("it stays saved: %s", kept)
	}
	again := start(t, p, numbered(5, guarded))
	other.Close()
	if got := targets(t, again); got != "b b" {
		t.Errorf("after another ramp they go to %s", got)
	}
}

// The end of a request that began under the config before comes late: Kong starts that
// config again for it, and closes the one that came after it.
func TestARampStaysRolledBackThroughALateEnd(t *testing.T) {
	kept := store{}
	with := options
	with.State = kept
	p := plugin.New(with)
	former, present := numbered(3, otherRamp), numbered(7, guarded)
	first := start(t, p, former)
	second := start(t, p, present)
	first.Close()
	fail(t, second)
	late := start(t, p, former)
	second.Close()
	if len(kept.Keys("split/")) != 1 {
		t.Errorf("saved: %s", kept)
	}
	again := start(t, p, present)
	late.Close()
	if got := targets(t, again); got != "a a" {
		t.Errorf("requests go to %s", got)
	}
}

func TestRowsWithoutAnIDHaveNothingInCommon(t *testing.T) {
	p := plugin.New(options)
	const row = `"route_id":"r1",`
	fail(t, start(t, p, row+guarded))
	if got := targets(t, start(t, p, row+guarded)); got != "b b" {
		t.Errorf("requests go to %s", got)
	}
}

// So it is in the split files.
func TestARampOfASplitFileThatWasAnother(t *testing.T) {
	web := func(text string) map[string]*config.Config {
		return map[string]*config.Config{"web": mustConfig(t, "{"+text+"}")}
	}
	for name, another := range map[string]map[string]*config.Config{"another ramp": web(otherRamp), "no split": nil} {
		kept := store{}
		with := options
		with.State = kept
		p := plugin.New(with)
		p.SetSplits(web(guarded))
		i := start(t, p, `"__plugin_id":"p1","service_id":"s1","split":"web"`) // on a route it would stay in use
		fail(t, i)
		if got := targets(t, i); got != "a a" || len(kept.Keys("split/")) != 1 {
			t.Errorf("%s: before, requests go to %s, and %d is saved", name, got, len(kept.Keys("split/")))
		}
		p.SetSplits(another)
		p.SetSplits(web(guarded))
		if got := targets(t, i); got != "b b" || len(kept.Keys("split/")) > 0 {
			t.Errorf("%s: then they go to %s, and %d is saved", name, got, len(kept.Keys("split/")))
		}
	}
}

// An ejection that has ended does not stay saved when the row's last instance is
// closed: nothing would ever ask for it, or take it away.
func TestAnEjectionThatHasEndedIsNotSaved(t *testing.T) {
	const ejecting = `"backends":[{"name":"a","host":"10.0.0.1","health":{"passive":{"failures":2,"ejection":30}}}]`
	for name, test := range map[string]struct {
		passed time.Duration
		saved  int
	}{"within its time": {29 * time.Second, 1}, "after its time": {31 * time.Second, 0}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				kept := store{}
				with := options
				with.State = kept
				i := start(t, plugin.New(with), onRoute+ejecting)
				fail(t, i)
				if got := len(kept.Keys("split/")); got != 1 {
					t.Fatalf("after failures, %d ejections are saved", got)
				}
				time.Sleep(test.passed)
				i.Close()
				if got := len(kept.Keys("split/")); got != test.saved {
					t.Errorf("after the last instance, %d are saved, want %d: %s", got, test.saved, kept)
				}
			})
		})
	}
}

// fail has two requests to the ramp's backend fail.
func fail(t *testing.T, i *plugin.Instance) {
	t.Helper()
	for range 2 {
		k := web()
		if err := k.access(t, i); err != nil {
			t.Fatal(err)
		}
		k.text["response.get_source"], k.status = "error", 502
		if err := k.run(t, "log", i); err != nil {
			t.Fatal(err)
		}
	}
}

// Saved state that cannot be read costs what it holds, not the split.
func TestSavedStateThatCannotBeRead(t *testing.T) {
	var log bytes.Buffer
	with := options
	with.State = store{"split/row/p1": []byte("nonsense")}
	with.Log = slog.New(slog.NewTextHandler(&log, nil))
	if got := targets(t, start(t, plugin.New(with), onRoute+guarded)); got != "b b" {
		t.Errorf("requests go to %s", got)
	}
	if !strings.Contains(log.String(), "cannot be read") {
		t.Errorf("the log says %q", log.String())
	}
}

// targets are where two requests go.
func targets(t *testing.T, i *plugin.Instance) string {
	t.Helper()
	var got []string
	for range 2 {
		k := web()
		if err := k.access(t, i); err != nil {
			t.Fatal(err)
		}
		got = append(got, map[string]string{
			"service.set_target 10.0.0.1 80": "a", "service.set_target 10.0.0.2 80": "b",
		}[k.told[0]])
	}
	return strings.Join(got, " ")
}
