package plugin_test

import (
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/config"
)

const (
	even = `"backends":[{"upstream":"a"},{"upstream":"b"}]`
	more = `"backends":[{"upstream":"a","weight":2},{"upstream":"b"}]`
)

// order sends n requests to each of the instances in turn and returns who got them.
func order(t *testing.T, n int, instances ...*plugin.Instance) (got string) {
	t.Helper()
	for range n {
		for _, i := range instances {
			k := web()
			k.upstreams = []string{"a", "b"}
			if err := k.access(t, i); err != nil {
				t.Fatal(err)
			}
			got += k.told[0][len("service.set_upstream "):]
		}
	}
	return got
}

func TestWorkersShareOneRotation(t *testing.T) {
	p := plugin.New(options)
	one, two := start(t, p, onRoute+even), start(t, p, onRoute+even)
	if got := order(t, 3, one, two); got != "ababab" {
		t.Errorf("two workers in turn: got %s, want ababab", got)
	}
}

func TestRowsHaveRotationsOfTheirOwn(t *testing.T) {
	p := plugin.New(options)
	one := start(t, p, `"__plugin_id":"p1",`+even)
	two := start(t, p, `"__plugin_id":"p2",`+even)
	if got := order(t, 2, one, two); got != "aabb" {
		t.Errorf("two rows in turn: got %s, want aabb", got)
	}
}

func TestReloadKeepsTheRotation(t *testing.T) {
	p := plugin.New(options)
	before := start(t, p, onRoute+even)
	got := order(t, 1, before)
	after := start(t, p, onRoute+even+`,"log_decision":false`)
	before.Close()
	if got += order(t, 1, after); got != "ab" {
		t.Errorf("a request before and one after a reload: got %s, want ab", got)
	}
}

// While one worker has the new weights and another still the old ones, each
// serves its own, and the one that comes late joins the rotation of the others.
func TestWorkersReloadOneAfterAnother(t *testing.T) {
	p := plugin.New(options)
	old1, old2 := start(t, p, onRoute+even), start(t, p, onRoute+even)
	order(t, 1, old1, old2)
	new1 := start(t, p, onRoute+more)
	old1.Close()
	order(t, 2, old2)
	again := start(t, p, onRoute+even)
	again.Close()
	new2 := start(t, p, onRoute+more)
	old2.Close()
	if got, want := order(t, 3, new1, new2), "abaaba"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestFileKeepsTheRotationOfEqualWeights(t *testing.T) {
	p := plugin.New(options)
	set := func(text string) {
		p.SetSplits(map[string]*config.Config{"web": mustConfig(t, "{"+text+"}")})
	}
	set(even)
	i := start(t, p, onRoute+`"split":"web"`)
	got := order(t, 1, i)
	set(even + `,"response_header":"X-Backend"`)
	if got += order(t, 1, i); got != "ab" {
		t.Errorf("a request before and one after the file was read: got %s, want ab", got)
	}
}

func start(t rapid.TB, p *plugin.Plugin, config string) *plugin.Instance {
	t.Helper()
	return p.Start([]byte("{" + config + "}"))
}

func mustConfig(t *testing.T, text string) *config.Config {
	t.Helper()
	c, err := config.FromKong([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var revision = regexp.MustCompile(`"revision":"[0-9a-f]+"`)

func withoutRevision(calls []string) []string {
	for i := range calls {
		calls[i] = revision.ReplaceAllString(calls[i], `"revision":"REVISION"`)
	}
	return calls
}

// counting counts what is saved anew.
type counting struct {
	store
	sets int
}

func (c *counting) Set(key string, value []byte) {
	if strings.HasPrefix(key, "split/") {
		c.sets++
	}
	c.store.Set(key, value)
}

// What is in use is saved anew, without what is over.
func TestRefresh(t *testing.T) {
	for name, begin := range map[string]func(p *plugin.Plugin) *plugin.Instance{
		"a row": func(p *plugin.Plugin) *plugin.Instance { return start(t, p, onRoute+guarded) },
		"a split file": func(p *plugin.Plugin) *plugin.Instance {
			p.SetSplits(map[string]*config.Config{"web": mustConfig(t, "{"+guarded+"}")})
			return start(t, p, onRoute+`"split":"web"`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(30 * 365 * 24 * time.Hour) // the ramp is over
				saved := &counting{store: store{}}
				with := options
				with.State = saved
				p := plugin.New(with)
				i := begin(p)
				p.Refresh()
				if saved.sets > 0 {
					t.Error("nothing is saved anew")
				}
				fail(t, i) // of b, and its ramp is rolled back
				fail(t, i) // of a, which is ejected for 30 s
				saved.sets = 0
				p.Refresh()
				if text := saved.only(t); saved.sets != 1 || !strings.Contains(text, `"rolled_back"`) || !strings.Contains(text, `"ejected"`) {
					t.Errorf("%d are saved anew: %s", saved.sets, text)
				}
				time.Sleep(time.Hour)
				p.Refresh()
				if text := saved.only(t); saved.sets != 2 || !strings.Contains(text, `"rolled_back"`) || strings.Contains(text, `"ejected"`) {
					t.Errorf("%d are saved anew: %s", saved.sets, text)
				}
			})
		})
	}
}

// only is the one value of a split that there is.
func (s store) only(t *testing.T) string {
	t.Helper()
	keys := s.Keys("split/")
	if len(keys) != 1 {
		t.Fatalf("there are %q", keys)
	}
	return string(s[keys[0]])
}
