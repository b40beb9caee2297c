package plugin_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/config"
)

// A status of gRPC counts as the one of HTTP that it stands for. Of other Services, Kong is
// not asked for it.
func TestGRPCStatuses(t *testing.T) {
	const fails, well, nothing = "fails", "is well", "says nothing"
	for _, tt := range []struct{ protocol, status, want string }{
		{"grpc", "0", well},
		{"grpc", "1", nothing},
		{"grpc", "2", fails},
		{"grpc", "4", fails},
		{"grpc", "5", well},
		{"grpc", "8", well},
		{"grpc", "12", fails},
		{"grpc", "13", fails},
		{"grpc", "14", fails},
		{"grpcs", "15", fails},
		{"grpcs", "16", well},
		{"grpcs", "\xff", well},
		{"grpcs", "", well},
		{"http", "13", well},
		{"http", "14", well},
	} {
		i := start(t, plugin.New(options), onRoute+watched)
		ended := func(http int32, status string) bool { // reports whether something came of it
			k := web()
			k.service["protocol"] = tt.protocol
			k.text["response.get_source"], k.status = "service", http
			k.text["response.get_header grpc-status"], k.shared = status, map[string]string{"traffic_split": i.MarkFor("b")}
			if err := k.run(t, "log", i); err != nil {
				t.Fatal(err)
			}
			asks := slices.Contains(k.asked, "response header grpc-status")
			if asks != (tt.protocol != "http" && http == 200) {
				t.Errorf("%s: asks for %q", tt.protocol, k.asked)
			}
			return k.told != nil
		}
		ended(500, "")
		got := well
		if ended(200, tt.status) {
			got = fails
		} else if ended(500, "") {
			got = nothing
		}
		if got != tt.want {
			t.Errorf("%s, %q %s, want: %s", tt.protocol, tt.status, got, tt.want)
		}
	}
}

// What the log phase may ask for is listed, so that it is asked for at once.
func TestReadsOfOutcomes(t *testing.T) {
	for name, tt := range map[string]struct {
		protocol, config string
		want             string
	}{
		"of HTTP": {"http", watched, "traffic_split response.get_source response.get_status KONG_WAITING_TIME"},
		"of gRPC": {"grpc", watched, "traffic_split response.get_source response.get_status response header grpc-status KONG_WAITING_TIME"},
	} {
		for _, known := range []bool{false, true} {
			i := start(t, plugin.New(options), onRoute+tt.config)
			run := func() *kong {
				k := web()
				k.service["protocol"] = tt.protocol
				k.text["response.get_source"], k.status, k.shared = "service", 200, map[string]string{"traffic_split": i.MarkFor("b")}
				if err := k.run(t, "log", i); err != nil {
					t.Fatal(err)
				}
				return k
			}
			want := tt.want
			if known {
				run()
			} else {
				want = "service " + want
			}
			reads, _ := i.Reads("log", time.Now())
			asked := run().asked
			if got := strings.Join(asked, " "); got != want {
				t.Errorf("%s, the Service known: %t: asks for %s, want %s", name, known, got, want)
			}
			if !known && tt.protocol == "grpc" && len(reads) != len(asked)-1 || (known || tt.protocol == "http") && len(reads) != len(asked) {
				t.Errorf("%s, the Service known: %t: %d of %q are listed", name, known, len(reads), asked)
			}
		}
	}
}

const slow = `"ramp":{"backend":"b","start":"2026-01-31T18:00:00Z","duration":60,"guard":{"max_latency":0.5,"min_requests":2}},` +
	`"backends":[{"name":"a","host":"10.0.0.1","host_header":"a"},{"name":"b","host":"10.0.0.2","host_header":"b"}]`

// Kong's figure counts, where it has one; a failure without an answer is slow.
func TestLatencies(t *testing.T) {
	for name, tt := range map[string]struct {
		source string
		status int32
		time   *structpb.Value
		want   string // the end of what is logged
	}{
		"fast":                    {"service", 200, structpb.NewNumberValue(500), ""},
		"fast, and a failure":     {"service", 500, structpb.NewNumberValue(0), ""},
		"slow":                    {"service", 200, structpb.NewNumberValue(600), "the slowest 5 % of 2 requests took 592ms or longer"},
		"slow, and a failure":     {"service", 500, structpb.NewNumberValue(600), "the slowest 5 % of 2 requests took 592ms or longer"},
		"not known":               {"service", 200, structpb.NewNullValue(), ""},
		"no number":               {"service", 200, structpb.NewStringValue("600"), ""},
		"no answer in time":       {"error", 504, structpb.NewNumberValue(10), "the slowest 5 % of 2 requests had no answer"},
		"a clock that was set":    {"service", 200, structpb.NewNumberValue(-5), ""},
		"another plugin's answer": {"exit", 200, structpb.NewNumberValue(9000), ""},
	} {
		i := start(t, plugin.New(options), onRoute+slow)
		var told []string
		for range 2 {
			k := web()
			k.ctx = map[string]*structpb.Value{"KONG_PROXIED": structpb.NewBoolValue(true), "KONG_WAITING_TIME": tt.time}
			k.text["response.get_source"], k.status, k.shared = tt.source, tt.status, map[string]string{"traffic_split": i.MarkFor("b")}
			if err := k.run(t, "log", i); err != nil {
				t.Fatal(err)
			}
			told = append(told, k.told...)
		}
		if tt.want == "" && told != nil || tt.want != "" && (len(told) != 1 || !strings.HasSuffix(told[0], tt.want)) {
			t.Errorf("%s: Kong is told %q, want %q", name, told, tt.want)
		}
	}
}

// Where a ramp that waits is, is saved before its first request, and the next process
// goes on from there.
func TestStepsOfRampsThatWaitAreSaved(t *testing.T) {
	const waiting = `"ramp":{"backend":"b","start":"2000-01-01T00:00:00Z","plan":[{"share":0.01,"for":60},{"share":100}],` +
		`"guard":{"max_error_ratio":0.5,"min_requests":2,"wait":true}},"backends":[{"name":"a","host":"10.0.0.1","host_header":"a"},{"name":"b","host":"10.0.0.2","host_header":"b"}]`
	for name, begin := range map[string]func(p *plugin.Plugin) *plugin.Instance{
		"a row": func(p *plugin.Plugin) *plugin.Instance { return start(t, p, onRoute+waiting) },
		"a split file": func(p *plugin.Plugin) *plugin.Instance {
			p.SetSplits(map[string]*config.Config{"web": mustConfig(t, "{"+waiting+"}")})
			return start(t, p, onRoute+`"split":"web"`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // it is when the plan begins
				kept := store{}
				with := options
				with.State = kept
				begin(plugin.New(with))
				if text := kept.only(t); !strings.Contains(text, `{"step":0,"behind":0}`) {
					t.Errorf("saved is %s", text)
				}
				time.Sleep(time.Hour) // by the clock the step is over
				i := begin(plugin.New(with))
				if got := targets(t, i); got != "a a" {
					t.Errorf("in the next process requests go to %s", got)
				}
				if told := outcome(t, i, "service", 200); told != nil {
					t.Errorf("Kong is told %q", told)
				}
				outcome(t, i, "service", 200)
				if got := targets(t, i); got != "b b" {
					t.Errorf("after the step was judged requests go to %s", got)
				}
				if text := kept.only(t); !strings.Contains(text, `{"step":1,"behind":3540000000000}`) {
					t.Errorf("saved is %s", text)
				}
				i = begin(plugin.New(with))
				if got := targets(t, i); got != "b b" {
					t.Errorf("in another one requests go to %s", got)
				}
			})
		})
	}
}
