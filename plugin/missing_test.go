package plugin_test

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/config"
)

// elevenUpstreams are as many backends of the same weight, where what is missing
// leaves its share to the others.
func elevenUpstreams() (text string, names []string) {
	var backends []string
	for i := range 11 {
		names = append(names, fmt.Sprint("up", i))
		backends = append(backends, fmt.Sprintf(`{"upstream":"up%d"}`, i))
	}
	return `"on_unavailable":"redistribute","backends":[` + strings.Join(backends, ",") + `]`, names
}

// visits makes n requests while Kong has these Upstreams, and returns how often each
// was told last, and how often Kong was told of any.
func visits(t *testing.T, i *plugin.Instance, n int, upstreams []string) (counts map[string]int, told int) {
	t.Helper()
	counts = map[string]int{}
	for range n {
		k := web()
		k.upstreams = upstreams
		if err := k.access(t, i); err != nil {
			t.Fatal(err)
		}
		told += len(k.told)
		name := strings.TrimPrefix(k.told[len(k.told)-1], "service.set_upstream ")
		if !slices.Contains(upstreams, name) {
			t.Fatalf("the request went to %s, which is not there", name)
		}
		counts[name]++
	}
	return counts, told
}

// Kong does not have 8 of 11 Upstreams: the first request finds that out, and once a
// second one asks anew; the shares of the others are exact all the time.
func TestMissingUpstreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text, names := elevenUpstreams()
		i := start(t, plugin.New(options), onRoute+text)
		want := map[string]int{"up8": 100, "up9": 100, "up10": 100}
		for second := range 3 {
			counts, told := visits(t, i, 300, names[8:])
			if diff := cmp.Diff(want, counts); diff != "" || told != 308 {
				t.Errorf("second %d: Kong was told %d times, want 308 (-want +got):\n%s", second, told, diff)
			}
			time.Sleep(time.Second)
		}
		visits(t, i, 1, names[8:])
		if counts, _ := visits(t, i, 9, names); len(counts) != 3 {
			t.Errorf("within the second: %v", counts)
		}
		time.Sleep(time.Second)
		if counts, _ := visits(t, i, 1100, names); counts["up0"] != 100 || counts["up10"] != 100 {
			t.Errorf("after it: %v", counts)
		}
	})
}

// With another configuration of Kong's they may be there: the next request asks.
func TestMissingUpstreamsAfterAReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text, names := elevenUpstreams()
		p := plugin.New(options)
		p.SetSplits(map[string]*config.Config{"web": mustConfig(t, "{"+text+"}")})
		for name, row := range map[string]string{"of the row": onRoute + text, "of a file": onRoute + `"split":"web"`} {
			before := start(t, p, row)
			visits(t, before, 30, names[8:])
			after := start(t, p, row)
			before.Close()
			if counts, _ := visits(t, after, 110, names); counts["up0"] != 10 || counts["up10"] != 10 {
				t.Errorf("%s: %v", name, counts)
			}
		}
	})
}

// An Upstream that is asked for again is not where the request goes: what comes last
// counts, and headers of it are not set.
func TestAskingAgainChangesNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := start(t, plugin.New(options), onRoute+`"on_unavailable":"redistribute","backends":[`+
			`{"upstream":"up","weight":2,"host_header":"up.example","request_headers":{"set":{"X-Up":"1"}}},`+
			`{"host":"10.0.0.1","host_header":"a"}]`)
		for _, at := range []struct {
			upstreams []string
			want      []string
		}{
			{nil, []string{"service.set_upstream up", "service.set_target 10.0.0.1 80", "service.request.set_header Host=a"}},
			{nil, []string{"service.set_upstream up", "service.set_target 10.0.0.1 80", "service.request.set_header Host=a"}},
			{[]string{"up"}, []string{"service.set_upstream up", "service.set_upstream up", "service.request.set_headers Host=up.example", "service.request.set_headers X-Up=1"}},
		} {
			k := web()
			k.upstreams = at.upstreams
			if err := k.access(t, i); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(at.want, k.told); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			time.Sleep(time.Second)
		}
	})
}

// Where no request fails for it, a missing Upstream is said all the same: once in the
// log, and in the status for as long as it is so.
func TestMissingUpstreamIsSaid(t *testing.T) {
	for _, on := range []string{`"fail"`, `"redistribute"`, `"fallback","fallback":"a"`} {
		synctest.Test(t, func(t *testing.T) {
			var log strings.Builder
			p := plugin.New(plugin.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
			i := start(t, p, onRoute+`"on_unavailable":`+on+`,"backends":[{"upstream":"up","name":"canary"},{"name":"a","upstream":"a"}]`)
			few := func(upstreams ...string) {
				time.Sleep(time.Second)
				for range 4 {
					k := web()
					k.upstreams = upstreams
					_ = k.access(t, i) // fails by turns with "fail"
				}
			}
			for _, missing := range []bool{true, false, true} {
				upstreams := []string{"a"}
				if !missing {
					upstreams = append(upstreams, "up")
				}
				few(upstreams...)
				for _, b := range p.Status(time.Now())[0].Backends {
					if gone := missing && b.Name == "canary"; b.Missing != gone || *b.Up == gone {
						t.Errorf("%s: %+v, up: %v", on, b, *b.Up)
					}
				}
			}
			const is = ` backend=canary upstream=up`
			said := log.String()
			if strings.Count(said, "level=WARN") != 2 || strings.Count(said, "level=INFO") != 1 || strings.Count(said, is) != 3 {
				t.Errorf("%s: said\n%s", on, said)
			}
		})
	}
}

// An Upstream is asked for by sending the request there. Where Kong has it again and the
// request is for the route's own Service all the same, it goes where it went before.
func TestAskingAgainLeavesTheServiceAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := start(t, plugin.New(options), onRoute+`"on_unavailable":"redistribute","force_header":"X-Force","backends":[`+
			`{"upstream":"up"},{"service":true}]`)
		for n, at := range []struct {
			upstreams []string
			want      []string
		}{
			{nil, []string{"service.set_upstream up"}}, // not there, so nothing has changed
			{nil, nil},
			{[]string{"up"}, nil}, // it is not asked for again within the second
			{[]string{"up"}, []string{"service.set_upstream up", "nginx.set_ctx balancer_data=" + balancerText(nil)}},
			{[]string{"up"}, nil},
		} {
			if n == 3 {
				time.Sleep(time.Second)
			}
			k := web()
			k.upstreams, k.headers = at.upstreams, map[string]string{"X-Force": "service"}
			k.balancer(nil)
			if n == 0 {
				k.headers = nil
			}
			if err := k.access(t, i); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(at.want, k.told); diff != "" {
				t.Errorf("request %d: (-want +got):\n%s", n, diff)
			}
		}
	})
}

// A Kong that does not say where a request is to go is not asked for an Upstream in a way
// that could not be taken back.
func TestAskingAgainWithoutBalancerData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		p := plugin.New(plugin.Options{Outcomes: true, Log: slog.New(slog.NewTextHandler(&log, nil))})
		i := start(t, p, onRoute+`"on_unavailable":"redistribute","backends":[{"upstream":"up"},{"service":true}]`)
		if err := web().access(t, i); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			time.Sleep(time.Second)
			k := web()
			k.upstreams = []string{"up"}
			if err := k.access(t, i); err != nil || k.told != nil {
				t.Errorf("%v, told %q", err, k.told)
			}
		}
		if n := strings.Count(log.String(), "this Kong has no balancer_data as 3.9 has it"); n != 1 {
			t.Errorf("it is said %d times, want once:\n%s", n, log.String())
		}
	})
}
