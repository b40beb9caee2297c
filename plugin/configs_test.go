package plugin_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/config"
)

// The configs of a row: two that are good, by where their requests go, and a wrong one.
const (
	good  = `"backends":[{"name":"a","host":"10.0.0.1","host_header":"a"}],"session":{"secret":"sixteen letters!"}`
	other = `"backends":[{"name":"b","host":"10.0.0.1","host_header":"b"}]`
	wrong = `"backends":[{"name":"a","host":"10.0.0.1"}],"rules":[{"match":{"methods":["GET"]},"backend":"x"}],"session":{"secret":"sixteen letters!"}`
)

// failStatic is a plugin whose row is tried.
type failStatic struct {
	*plugin.Plugin
	t     *testing.T
	saved store
	log   bytes.Buffer
}

func newFailStatic(t *testing.T, saved store) *failStatic {
	f := &failStatic{t: t, saved: saved}
	with := options
	with.State, with.Log = saved, slog.New(slog.NewTextHandler(&f.log, nil))
	f.Plugin = plugin.New(with)
	return f
}

func (f *failStatic) start(seq int, config string) *plugin.Instance {
	return start(f.t, f.Plugin, numbered(seq, config))
}

// goes is where a request goes; empty: it is refused.
func (f *failStatic) goes(i *plugin.Instance) string {
	f.t.Helper()
	k := web()
	if err := k.access(f.t, i); err != nil {
		return ""
	}
	for _, told := range k.told {
		if _, name, ok := strings.Cut(told, "Host="); ok {
			return name
		}
	}
	return fmt.Sprint(k.told)
}

func (f *failStatic) expect(i *plugin.Instance, goes string, red bool) {
	f.t.Helper()
	if got := f.goes(i); got != goes {
		f.t.Errorf("a request goes to %q, want %q", got, goes)
	}
	f.red(red)
}

func (f *failStatic) red(want bool) {
	f.t.Helper()
	if errs := f.ConfigErrors(); (len(errs) > 0) != want {
		f.t.Errorf("errors: %+v, want some: %v", errs, want)
	}
}

func TestAWrongConfigLeavesTheLastGoodOneInUse(t *testing.T) {
	f := newFailStatic(t, store{})
	first := f.start(1, good)
	f.expect(first, "a", false)
	second := f.start(2, wrong)
	f.red(false) // it was only started
	first.Close()
	f.expect(second, "a", true)
	e := f.ConfigErrors()[0]
	if e.Split != "web" || e.ID != "p1" || e.Route != "r1" || !strings.Contains(e.Error, `rules[0].backend: "x" is not the name of a backend`) || e.InUse != "the last good one" || e.Since.IsZero() {
		t.Errorf("got %+v", e)
	}
	third := f.start(3, other)
	second.Close()
	f.expect(third, "b", false)
	for _, line := range []string{`level=ERROR msg="the config of a plugin row is wrong" split=p1 route_id=r1`, `level=INFO msg="the config of a plugin row is right again" split=p1`} {
		if strings.Count(f.log.String(), line) != 1 {
			t.Errorf("the log has not %q once:\n%s", line, &f.log)
		}
	}
}

// Whose config it is, is known of one that is too long to be read.
func TestAConfigThatIsTooLongOrTooDeepToBeRead(t *testing.T) {
	for text, want := range map[string]string{
		`"response_header":"` + strings.Repeat("x", 1<<20) + `",`:                        "bytes long; at most 1048576 are read",
		`"response_header":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `,`: "it nests too deep",
	} {
		f := newFailStatic(t, store{})
		f.expect(f.start(1, good), "a", false)
		f.expect(f.start(2, text+good), "a", true)
		if e := f.ConfigErrors()[0]; e.Split != "web" || e.ID != "p1" || e.Route != "r1" || !strings.Contains(e.Error, want) {
			t.Errorf("got %+v", e)
		}
	}
}

func TestAWrongConfigThatWasNeverGood(t *testing.T) {
	f := newFailStatic(t, store{})
	f.expect(f.start(1, wrong), "", true)
	if e := f.ConfigErrors()[0]; !strings.HasPrefix(e.InUse, "none: ") {
		t.Errorf("got %+v", e)
	}
}

// A row that was moved had no good one there, and has the one from before where it
// comes back.
func TestAMovedRow(t *testing.T) {
	f := newFailStatic(t, store{})
	f.expect(f.start(1, good), "a", false)
	for seq, place := range []string{`"route_id":"r2"`, `"route_id":"r1","service_id":"s1"`, `"route_id":"r1","consumer_id":"c1"`} {
		f.expect(start(t, f.Plugin, fmt.Sprintf(`"__plugin_id":"p1","__seq__":%d,%s,%s`, seq+2, place, wrong)), "", true)
	}
	f.expect(f.start(9, wrong), "a", true)
}

// Kong starts the config of an old request once more to tell of its end.
func TestALateLogEventIsNoNewConfig(t *testing.T) {
	f := newFailStatic(t, store{})
	first := f.start(1, good)
	f.expect(first, "a", false)
	second := f.start(2, wrong)
	first.Close()
	f.expect(second, "a", true)
	late := f.start(1, good)
	second.Close()
	_ = web().run(t, "log", late)
	f.red(true)
	again := f.start(2, wrong)
	late.Close()
	f.expect(again, "a", true)

	// So it is where the old one is wrong.
	third := f.start(3, other)
	again.Close()
	f.expect(third, "b", false)
	late = f.start(2, wrong)
	third.Close()
	_ = web().run(t, "log", late)
	f.red(false)
	f.expect(f.start(3, other), "b", false)
}

// Each worker has its own instance, and reloads in its own time.
func TestWorkersReloadAWrongConfigOneAfterAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFailStatic(t, store{})
		expect := func(i *plugin.Instance, goes string, red bool) {
			t.Helper()
			time.Sleep(time.Millisecond)
			f.expect(i, goes, red)
		}
		one, two := f.start(1, good), f.start(1, good)
		expect(one, "a", false)
		expect(two, "a", false)
		one = f.start(2, wrong)
		expect(one, "a", true)
		expect(two, "a", true) // it has not loaded the wrong one yet
		two = f.start(2, wrong)
		expect(two, "a", true)
		one = f.start(3, other)
		expect(one, "b", false)
		expect(two, "b", true) // its requests have the last good one too
		expect(one, "b", false)
		two = f.start(3, other)
		expect(two, "b", false)

		// Kong restarts: its workers count from 1 again, and it closes nothing.
		one = f.start(1, wrong)
		expect(one, "b", true)
		one = f.start(1, other)
		expect(one, "b", false)

		// A worker that has not reloaded yet has its first request.
		two = f.start(1, wrong)
		expect(two, "b", true)
		expect(one, "b", true)
		time.Sleep(time.Minute) // it has no request after its reload
		expect(one, "b", false)
		expect(f.start(2, wrong), "b", true)
	})
}

// Over restarts of the server, for a day after the last request, without secrets.
func TestTheLastGoodConfigOutlivesTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		saved := store{}
		f := newFailStatic(t, saved)
		f.expect(f.start(70, good), "a", false)
		for range 3 {
			time.Sleep(23 * time.Hour)
			f = newFailStatic(t, saved)
			f.Refresh()
			f.expect(f.start(3, wrong), "a", true)
		}
		if text := fmt.Sprintf("%s", saved); strings.Contains(text, "sixteen") || !strings.Contains(text, "max_age") {
			t.Errorf("saved is %s", text)
		}
		none := strings.Replace(wrong, "sixteen letters!", "", 1) // as a reference that is not resolved
		f = newFailStatic(t, saved)
		f.expect(f.start(3, none), "a", true)
		if e := f.ConfigErrors()[0]; !strings.Contains(e.InUse, "clients are not pinned") || !strings.Contains(f.log.String(), "clients are not pinned") {
			t.Errorf("got %+v\n%s", e, &f.log)
		}
		time.Sleep(26 * time.Hour)
		f = newFailStatic(t, saved)
		f.expect(f.start(3, wrong), "", true)
		f.Refresh()
		if keys := saved.Keys("config/"); len(keys) > 0 {
			t.Errorf("still saved: %q", keys)
		}
	})
}

func TestAConfigThatIsTooLongIsNotSaved(t *testing.T) {
	saved := store{}
	f := newFailStatic(t, saved)
	f.expect(f.start(1, other), "b", false)
	var values []string
	for range 300 {
		values = append(values, `"`+strings.Repeat("x", 1000)+`"`)
	}
	f.expect(f.start(2, good+`,"rules":[{"match":{"headers":{"A":[`+strings.Join(values, ",")+`]}},"backend":"a"}]`), "a", false)
	if !strings.Contains(f.log.String(), "too long to be saved") {
		t.Errorf("the log: %s", &f.log)
	}
	f.expect(f.start(3, wrong), "a", true)
	if text := fmt.Sprintf("%s", saved); len(text) > 1000 {
		t.Errorf("saved are %d bytes", len(text))
	}
	f = newFailStatic(t, saved)
	f.expect(f.start(3, wrong), "", true)
	if e := f.ConfigErrors()[0]; !strings.HasPrefix(e.InUse, "none: ") {
		t.Errorf("got %+v", e)
	}
}

// So it is for the process that had it, though the row has had no instance since: Kong
// ends those that are idle.
func TestWhatIsNotSavedOutlivesTheInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFailStatic(t, store{})
		first := f.start(1, good)
		f.expect(first, "a", false)
		first.Close()
		time.Sleep(time.Hour)
		f.Refresh()
		none := strings.Replace(wrong, "sixteen letters!", "", 1)
		second := f.start(2, none)
		f.expect(second, "a", true)
		if e := f.ConfigErrors()[0]; e.InUse != "the last good one" {
			t.Errorf("got %+v", e)
		}
		second.Close()
		time.Sleep(26 * time.Hour)
		f.Refresh()
		f.expect(f.start(3, wrong), "", true)
	})
}

// A reference that does not resolve does not turn sessions off while the process runs;
// the secret is the last one that was right.
func TestAnEmptySecretLeavesTheLastOneInUse(t *testing.T) {
	f := newFailStatic(t, store{})
	f.expect(f.start(1, good), "a", false)
	f.expect(f.start(2, strings.Replace(good, "sixteen letters!", "another sixteen!!", 1)), "a", false)
	cookie := func(i *plugin.Instance) string {
		k := web()
		if err := k.access(t, i); err != nil {
			t.Fatal(err)
		}
		for _, told := range k.told {
			if _, cookie, ok := strings.Cut(told, "Set-Cookie="); ok {
				cookie, _, _ = strings.Cut(cookie, ";")
				return cookie
			}
		}
		return ""
	}
	want := cookie(f.start(3, strings.Replace(good, "sixteen letters!", "another sixteen!!", 1)))
	empty := f.start(4, strings.Replace(good, "sixteen letters!", "", 1))
	if got := cookie(empty); got != want || got == "" {
		t.Errorf("the cookie is %q, want %q", got, want)
	}
	f.red(true)
}

// Kong's log says what is wrong, the same once a minute.
func TestKongsLogSaysWhatIsWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFailStatic(t, store{})
		f.SetSplits(map[string]*config.Config{"web": mustConfig(t, "{"+other+"}")})
		f.goes(f.start(1, good))
		row := start(t, f.Plugin, `"__plugin_id":"p2","route_id":"r2","split":"web"`)
		f.goes(row)
		f.SetSplits(map[string]*config.Config{})
		for name, i := range map[string]*plugin.Instance{
			`log.err [traffic-split] rules[0].backend: "x" is not the name of a backend`:       f.start(2, wrong),
			`log.err [traffic-split] no split named "web" in the split files any more: add it`: row,
		} {
			said := 0
			for range 20 {
				k := web()
				if err := k.access(t, i); err != nil {
					t.Fatal(err)
				}
				said += strings.Count(fmt.Sprint(k.told), name)
				time.Sleep(10 * time.Second)
			}
			if said != 4 {
				t.Errorf("%s: said %d times in 200 s, want 4", name, said)
			}
		}
	})
}

// A config of which a request has shown that it is wrong is not the last good one, though
// other requests go well: the one before is.
func TestWhatARequestHasShownToBeWrongIsNotTheLastGood(t *testing.T) {
	const half = `"backends":[{"name":"a","host":"10.0.0.9","host_header":"half"},{"name":"n","host":"b.internal","host_header":"n"}]`
	goes := func(f *failStatic, i *plugin.Instance) string {
		k := web()
		k.service["host"] = "10.0.0.7"
		if err := k.access(t, i); err != nil {
			return ""
		}
		return fmt.Sprint(k.told)
	}
	for _, before := range []string{"", "r1", "r2"} {
		f := newFailStatic(t, store{})
		if before != "" {
			f.expect(start(t, f.Plugin, fmt.Sprintf(`"__plugin_id":"p1","route_id":%q,%s`, before, other)), "b", false)
		}
		i := f.start(2, half)
		for n := range 6 {
			if got := goes(f, i); (got == "") != (n%2 == 1) {
				t.Fatalf("request %d goes to %q", n, got)
			}
			f.red(n > 0)
		}
		want := "half"
		if before == "r1" {
			want = "b"
		}
		f.expect(f.start(3, wrong), want, true)
	}
}

// What Kong adds to the config is wrong: nothing else would show that.
func TestAnUnknownPlacement(t *testing.T) {
	f := newFailStatic(t, store{})
	f.expect(start(t, f.Plugin, `"__plugin_id":"p1",`+good), "a", false) // everywhere
	f.expect(start(t, f.Plugin, `"__plugin_id":"p1","route_id":7,`+good), "", true)
	if e := f.ConfigErrors()[0]; e.Split != "p1" || !strings.HasPrefix(e.Error, "what Kong adds to the config: ") {
		t.Errorf("got %+v", e)
	}
	f = newFailStatic(t, store{})
	f.expect(start(t, f.Plugin, `]`), "", true)
}

// panicking panics once, when what is saved of a split is read.
type panicking struct {
	store
	panicked bool
}

func (p *panicking) Get(key string) []byte {
	if strings.HasPrefix(key, "split/row/") && !p.panicked {
		p.panicked = true
		panic("out of range")
	}
	return p.store.Get(key)
}

// A config that makes the plugin panic is one that is wrong.
func TestAConfigThatPanics(t *testing.T) {
	f := newFailStatic(t, store{})
	first := f.start(1, good)
	f.expect(first, "a", false)
	first.Close()
	f.State = &panicking{store: f.saved}
	f.expect(f.start(2, other), "a", true)
	if e := f.ConfigErrors()[0]; e.Error != "panic: out of range" || !strings.Contains(f.log.String(), "configs_test.go") {
		t.Errorf("got %+v\n%s", e, &f.log)
	}
}

// A server without -outcomes goes on with a guard that a server with it had.
func TestAGuardWithoutOutcomes(t *testing.T) {
	saved := store{}
	f := newFailStatic(t, saved)
	f.goes(f.start(1, guarded))
	f = newFailStatic(t, saved)
	f.Outcomes = false
	i := f.start(1, guarded)
	if f.goes(i) == "" {
		t.Error("a request is refused")
	}
	f.red(true)
}

// What only a request shows is an error too.
func TestWhatOnlyARequestShows(t *testing.T) {
	f := newFailStatic(t, store{})
	f.expect(f.start(1, `"split":"none"`), "", true)
	f.SetSplits(map[string]*config.Config{"none": mustConfig(t, "{"+other+"}")})
	f.red(false)
}

// On a TCP route parameters of HTTP are wrong.
func TestHTTPOnATCPRoute(t *testing.T) {
	f := newFailStatic(t, store{})
	if err := web().run(t, "preread", f.start(1, `"backends":[{"name":"a","host":"10.0.0.1"}]`)); err != nil {
		t.Fatal(err)
	}
	if err := web().run(t, "preread", f.start(2, `"backends":[{"name":"a","host":"10.0.0.2"}],"force_header":"X"`)); err != nil {
		t.Errorf("it is refused: %v", err)
	}
	f.red(true)
}

// A split that vanishes from the files stays in use for rows on a route.
func TestASplitThatVanishes(t *testing.T) {
	saved := store{}
	f := newFailStatic(t, saved)
	set := func(text string) {
		splits := map[string]*config.Config{"else": mustConfig(t, "{"+other+"}")}
		if text != "" {
			splits["web"] = mustConfig(t, "{"+text+"}")
		}
		f.SetSplits(splits)
	}
	const row = `"__plugin_id":%q,"__seq__":1,%q:"x","split":"web"`
	set(good)
	route, service := start(t, f.Plugin, fmt.Sprintf(row, "p1", "route_id")), start(t, f.Plugin, fmt.Sprintf(row, "p2", "service_id"))
	f.expect(route, "a", false)
	f.expect(service, "a", false)
	set("")
	f.expect(service, "[]", false) // untouched
	f.expect(route, "a", true)
	f.expect(service, "[]", true)
	if e := f.ConfigErrors()[0]; e.Split != "web" || !strings.Contains(e.Error, "any more") {
		t.Errorf("got %+v", e)
	}
	set(other)
	f.expect(route, "b", false)
	set(good)
	set("")
	set("")

	f = newFailStatic(t, saved) // another process
	set("")
	f.expect(start(t, f.Plugin, fmt.Sprintf(row, "p1", "route_id")), "a", true)

	f = newFailStatic(t, saved) // a third one, in which it vanishes before its first request
	set(other)
	set("")
	f.expect(start(t, f.Plugin, fmt.Sprintf(row, "p1", "route_id")), "b", true)

	f = newFailStatic(t, saved)
	set("")
	f.expect(start(t, f.Plugin, fmt.Sprintf(row, "p1", "route_id")), "b", true)
	if text := fmt.Sprintf("%s", saved); strings.Contains(text, "sixteen") {
		t.Errorf("saved is %s", text)
	}
}

// The rows are removed first, and then the split: nothing is wrong. Nor is it any more once
// the rows are removed afterwards.
func TestASplitThatIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFailStatic(t, store{})
		f.SetSplits(map[string]*config.Config{"web": mustConfig(t, "{"+good+"}")})
		row := start(t, f.Plugin, `"__plugin_id":"p1","route_id":"r1","split":"web"`)
		f.expect(row, "a", false)
		f.SetSplits(map[string]*config.Config{})
		f.red(false)
		if strings.Contains(f.log.String(), "vanished") {
			t.Errorf("the log: %s", &f.log)
		}
		since := time.Now()
		f.expect(row, "a", true)
		time.Sleep(time.Minute)
		f.expect(row, "a", true)
		if e := f.ConfigErrors()[0]; !e.Since.Equal(since) || strings.Count(f.log.String(), "vanished") != 1 {
			t.Errorf("got %+v, want since %s; the log:\n%s", e, since, &f.log)
		}
		time.Sleep(time.Hour + time.Second)
		f.red(false)
	})
}
