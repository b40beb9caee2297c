package plugin_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/config"
)

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
