package plugin_test

import (
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/split"
)

const retried = `"retry":{"max":2},"response_header":"X-By","log_decision":true,"backends":[` +
	`{"name":"a","host":"10.0.0.1","request_headers":{"set":{"X-Is":"a"},"remove":["X-No"]}},` +
	`{"name":"b","host":"b.internal","port":81,"timeouts":{"connect":0.5},"request_headers":{"set":{"X-Is":"b"},"remove":["X-No"]}},` +
	`{"name":"c","host":"::1","request_headers":{"set":{"X-Is":"c"},"remove":["X-No"]}}]`

// The companion is told of the backends to try, in order, with what is theirs: timeouts that
// they have not are the Service's.
func TestOffer(t *testing.T) {
	i := start(t, plugin.New(options), onRoute+retried)
	const (
		common = `,"remove":["X-No"],"response_header":"X-By","send_timeout":60000,"set":{"X-Is":"`
		b      = `{"connect_timeout":500,"host":"b.internal","logged":true,"name":"b","port":81,"read_timeout":60000` + common + `b"}}`
		c      = `{"connect_timeout":60000,"host":"[::1]","logged":true,"name":"c","port":80,"read_timeout":60000` + common + `c"}}`
	)
	for _, want := range []string{"[" + b + "," + c + "]", "", "", "[" + c + "," + b + "]"} {
		k := web()
		k.balancer(nil)
		if err := k.access(t, i); err != nil {
			t.Fatal(err)
		}
		if k.told[0] == "service.set_target 10.0.0.1 80" {
			t.Errorf("told %q: by that call, Kong keeps the Host for the next try", k.told)
		}
		if got := k.shared["traffic_split_retry"]; want != "" && got != want {
			t.Errorf("offered\n%s, want\n%s", got, want)
		}
	}
}

// Without retry nothing is asked or told for it.
func TestNoOffer(t *testing.T) {
	i := start(t, plugin.New(options), onRoute+`"backends":[{"name":"a","host":"10.0.0.1","host_header":"a"}]`)
	k := web()
	if err := k.access(t, i); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"service.set_target 10.0.0.1 80", "service.request.set_header Host=a"}, k.told); diff != "" {
		t.Error(diff)
	}
}

// What a route or a Kong makes impossible is refused with the reason.
func TestRetryRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		preserve bool
		table    map[string]any
		want     string
	}{
		"the route preserves the Host": {true, nil, "retry: the route says preserve_host, and with that Kong sends the same headers to each backend that it tries, but the request_headers of these differ: give all the same, or set preserve_host: false"},
		"Kong has another table":       {false, map[string]any{"tries": nil}, "retry: this Kong's balancer_data is not that of Kong 3.9, by which requests are tried on another backend: it lacks tries: leave retry out"},
	} {
		i := start(t, plugin.New(options), onRoute+`"retry":{},"backends":[{"name":"a","host":"10.0.0.1","request_headers":{"set":{"X-Is":"a"}}},{"name":"b","host":"10.0.0.2","request_headers":{"set":{"X-Is":"b"}}}]`)
		k := web()
		k.route["preserve_host"] = tt.preserve
		k.balancer(tt.table)
		if err := k.access(t, i); err == nil || err.Error() != tt.want {
			t.Errorf("%s: got %v, want %s", name, err, tt.want)
		}
	}
}

// A request that was tried on other backends has failed on all but the last, and counts as a
// choice of each that it was tried on.
func TestOutcomesOfRetries(t *testing.T) {
	for name, tt := range map[string]struct {
		tried  string // what the companion leaves; empty: there is none
		source string
		status int32
		failed map[string]uint64 // by backend
		ok     map[string]uint64
		again  map[string]uint64
		known  plugin.Companion
	}{
		"at once":                 {"1", "service", 200, nil, map[string]uint64{"a": 1}, nil, plugin.CompanionRuns},
		"on the second":           {"1 502/c", "service", 200, map[string]uint64{"a": 1}, map[string]uint64{"c": 1}, map[string]uint64{"c": 1}, plugin.CompanionRuns},
		"on the third":            {"1 502/c 504/b", "service", 404, map[string]uint64{"a": 1, "c": 1}, map[string]uint64{"b": 1}, map[string]uint64{"b": 1, "c": 1}, plugin.CompanionRuns},
		"on none":                 {"1 502/c 502/b", "error", 502, map[string]uint64{"a": 1, "b": 1, "c": 1}, nil, map[string]uint64{"b": 1, "c": 1}, plugin.CompanionRuns},
		"after an answer 503":     {"1 503/c", "service", 200, map[string]uint64{"a": 1}, map[string]uint64{"c": 1}, map[string]uint64{"c": 1}, plugin.CompanionRuns},
		"after an answer 404":     {"1 404/c", "service", 200, nil, map[string]uint64{"a": 1, "c": 1}, map[string]uint64{"c": 1}, plugin.CompanionRuns},
		"after what is not known": {"1 nil/c", "service", 200, map[string]uint64{"a": 1}, map[string]uint64{"c": 1}, map[string]uint64{"c": 1}, plugin.CompanionRuns},
		"the client has gone":     {"1 502/c", "service", 499, map[string]uint64{"a": 1}, nil, map[string]uint64{"c": 1}, plugin.CompanionUnknown},
		"on one that is gone":     {"1 502/gone 502/b", "service", 200, map[string]uint64{"a": 1}, nil, nil, plugin.CompanionRuns},
		"without the companion":   {"", "error", 502, map[string]uint64{"a": 1}, nil, nil, plugin.CompanionMissing},
		"ended before it":         {"", "exit", 429, nil, nil, nil, plugin.CompanionUnknown},
		"with another's":          {"2", "service", 200, nil, map[string]uint64{"a": 1}, nil, plugin.CompanionOther},
		"with another's, retried": {"0 502/b", "service", 200, map[string]uint64{"a": 1}, map[string]uint64{"b": 1}, map[string]uint64{"b": 1}, plugin.CompanionOther},
	} {
		t.Run(name, func(t *testing.T) {
			p := plugin.New(options)
			i := start(t, p, onRoute+retried)
			k := web()
			k.text["response.get_source"], k.status = tt.source, tt.status
			k.shared = map[string]string{"traffic_split": i.MarkFor("a")}
			if tt.tried != "" {
				k.shared["traffic_split_tried"] = tt.tried
			}
			reads, _ := i.Reads("log", time.Now())
			if err := k.run(t, "log", i); err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(reads, func(c struct {
				Method string
				Args   []byte
			},
			) bool {
				return strings.HasSuffix(string(c.Args), "traffic_split_tried")
			}) {
				t.Error("what the companion has done is not asked for together with the rest")
			}
			s := p.Status(time.Now())[0]
			if s.Companion != tt.known {
				t.Errorf("the companion is %q, want %s", s.Companion, tt.known)
			}
			for _, b := range s.Backends {
				if b.Outcomes.Failed != tt.failed[b.Name] || b.Outcomes.OK != tt.ok[b.Name] || b.Requests[split.ByRetry] != tt.again[b.Name] {
					t.Errorf("%s: %d failed, %d ok, %d retries", b.Name, b.Outcomes.Failed, b.Outcomes.OK, b.Requests[split.ByRetry])
				}
			}
		})
	}
}

// Plugin and companion agree on what they leave for each other.
func TestCompanion(t *testing.T) {
	for file, wants := range map[string][]string{
		"access.lua": {
			"companion " + plugin.CompanionVersion + ":", "shared.traffic_split_retry", `shared.traffic_split_tried = "` + plugin.CompanionVersion + `"`,
			"try.name", "try.host", "try.port", "try.connect_timeout", "try.send_timeout", "try.read_timeout", "try.set", "try.remove",
		},
		"header_filter.lua": {"companion " + plugin.CompanionVersion + ":", "try.response_header", "try.logged", "try.name"},
	} {
		text, err := os.ReadFile("../kong/companion/" + file)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s has no %s", file, want)
			}
		}
	}
}

// Of several routes that use a split one may lack the companion: that it is missing holds for
// a minute after the last request that has shown so, and is logged once.
func TestCompanionOfSomeRoutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		p := plugin.New(plugin.Options{Outcomes: true, Log: slog.New(slog.NewTextHandler(&log, nil))})
		i := start(t, p, onRoute+retried)
		ended := func(tried string) plugin.Companion {
			k := web()
			k.text["response.get_source"], k.status = "service", 200
			k.shared = map[string]string{"traffic_split": i.MarkFor("a")}
			if tried != "" {
				k.shared["traffic_split_tried"] = tried
			}
			if err := k.run(t, "log", i); err != nil {
				t.Fatal(err)
			}
			return p.Status(time.Now())[0].Companion
		}
		for range 20 {
			if got := ended(""); got != plugin.CompanionMissing {
				t.Errorf("where it is missing: %s", got)
			}
			if got := ended("1"); got != plugin.CompanionMissing {
				t.Errorf("where another route has just lacked it: %s", got)
			}
		}
		if n := strings.Count(log.String(), "companion"); n == 0 || strings.Count(log.String(), "\n") != 1 {
			t.Errorf("logged:\n%s", log.String())
		}
		time.Sleep(time.Minute)
		if got := ended("1"); got != plugin.CompanionRuns {
			t.Errorf("a minute later: %s", got)
		}
	})
}
