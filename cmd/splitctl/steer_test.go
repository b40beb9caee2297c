package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kong-traffic-split/cmd/command"
	"kong-traffic-split/kong/admin"
	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/file"
	"kong-traffic-split/plugin/rollout"
)

// Where a step waits for the guard, a ramp is held at the share that clients get, and does
// not go on from one that the clock alone has.
func TestRampThatWaits(t *testing.T) {
	var answer string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, answer) }))
	defer server.Close()
	start := time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC)
	tree, err := config.ParseKong([]byte(`{"backends":[{"host":"a"},{"name":"b","host":"b"}],"ramp":{"backend":"b","start":"2026-12-01T08:00:00Z",
		"plan":[{"share":5,"for":600},{"share":50,"for":600},{"share":100}],"guard":{"max_latency":1,"wait":true}}}`))
	if err != nil {
		t.Fatal(err)
	}
	c, problems := config.DecodeRow(tree)
	if problems != nil {
		t.Fatal(problems)
	}
	for _, tt := range []struct {
		name, ramp string
		hold       bool
		share      string // that is held
		err        string
	}{
		{"hold", `{"share":0.05,"waits_for":"7 of 20 requests"}`, true, "5", ""},
		{"hold in time", `{"share":0.5,"waits_for":"7 of 20 requests"}`, true, "50", ""},
		{"hold after a rollback", `{"share":0,"behind":1,"rolled_back":"2026-12-01T08:05:00Z"}`, true, "50", ""},
		{"widen", `{"share":0.05,"behind":1}`, false, "50", "has 5 % on "},
		{"widen in time", `{"share":0.5}`, false, "50", ""},
		{"widen after a rollback", `{"share":0,"rolled_back":"2026-12-01T08:05:00Z"}`, false, "50", "was rolled back at 2026-12-01T08:05:00Z"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			answer = `{"version":"1","splits":[{"split":"shop","ramp":` + tt.ramp + `}]}`
			now := start.Add(15 * time.Minute)
			change, err := rollout.Hold(c, now)
			if err != nil {
				t.Fatal(err)
			}
			s := steerFlags{hold: tt.hold, onward: !tt.hold, wait: []string{server.URL}}
			err = s.asServed(s.ask(t.Context()), "shop", c, now, &change)
			if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("the error is %v, want %q", err, tt.err)
			}
			if got := change.Edits[0].Value.Text; got != tt.share {
				t.Errorf("%s %% is held, want %s", got, tt.share)
			}
		})
	}
}

// What Kong or a backend answers is shown, and does nothing to the terminal.
func TestHarmless(t *testing.T) {
	if got, want := command.Harmless("Kong: \x1b[2J\r\u009b1m\u202eé …\n\tnext"), "Kong: \ufffd[2J\ufffd\ufffd1m\ufffdé …\n\tnext"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Kong may take a configuration, and its answer be lost: then the file has it too. Where it
// has not taken it, the file stays as it was.
func TestAnswersThatAreLost(t *testing.T) {
	const before = "_format_version: \"3.0\"\nplugins:\n- name: traffic-split\n  instance_name: shop\n  config:\n    backends: [{name: a, host: a}, {name: b, host: b, weight: 0}]\n"
	after := strings.Replace(before, "weight: 0", "weight: 9", 1)
	for name, tt := range map[string]struct {
		takes bool
		want  string
	}{"taken": {true, after}, "lost too": {false, before}} {
		t.Run(name, func(t *testing.T) {
			var has atomic.Value // Kong's text: a request that is cut off may still be served beside the next one
			has.Store(before)
			kong := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.Method + r.URL.Path {
				case "POST/config":
					if tt.takes {
						has.Store(after)
					}
					panic(http.ErrAbortHandler)
				case "GET/status":
					fmt.Fprintf(w, `{"configuration_hash":%q}`, admin.HashOf(has.Load().(string)))
				default:
					fmt.Fprintf(w, `{"config":%q}`, has.Load())
				}
			}))
			defer kong.Close()
			path := filepath.Join(t.TempDir(), "kong.yml")
			write(t, path, before)
			cmd := rootCommand()
			cmd.SetOut(io.Discard)
			cmd.SetArgs([]string{"set", "shop", "b=9", "--admin", kong.URL, "--declarative", path})
			if err := cmd.Execute(); (err == nil) != tt.takes {
				t.Errorf("the error is %v", err)
			}
			if got := read(t, path); got != tt.want {
				t.Errorf("the file is\n%s", got)
			}
		})
	}
}

// Servers are asked side by side, and while nothing is locked.
func TestServersAreAskedBeforeAnythingIsLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "splits.yaml")
	write(t, path, "splits:\n  shop:\n    backends: [{name: a, host: a}, {name: b, host: b}]\n    ramp: {backend: b, start: 2026-12-01T08:00:00Z, duration: 60}\n")
	asked := make(chan struct{}, 2)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		for len(asked) < 2 {
			time.Sleep(time.Millisecond) // until the other one is asked: nothing tells
		}
		locked, err := file.Lock(t.Context(), path, 1<<20)
		if err != nil {
			t.Error(err)
			return
		}
		locked.Close()
		fmt.Fprint(w, `{"version":"1","splits":[{"split":"shop","ramp":{"share":0}}]}`)
	}))
	defer server.Close()
	cmd := rootCommand()
	cmd.SetOut(io.Discard)
	cmd.SetArgs([]string{"ramp", "hold", "shop", "--file", path, "--wait", server.URL, "--wait", server.URL + "/", "--dry-run"})
	if err := cmd.Execute(); err != nil {
		t.Error(err)
	}
	if len(asked) != 2 {
		t.Errorf("there are %d questions, want 2", len(asked))
	}
}

// What servers have said is not believed for long, and then asked for again.
func TestServersAreAskedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "splits.yaml")
	write(t, path, "splits:\n  shop:\n    backends: [{name: a, host: a}, {name: b, host: b}]\n    ramp: {backend: b, start: 2026-12-01T08:00:00Z, duration: 60}\n")
	s := steerFlags{file: path, hold: true, wait: []string{"127.0.0.1:1"}}
	_, err := s.change(t.Context(), "shop", func(identity string, c *config.Config) ([]config.Edit, error) {
		return nil, s.asServed(served{at: time.Now().Add(-askedFor)}, identity, c, time.Now(), new(rollout.Change))
	})
	if !errors.Is(err, errOutdated) {
		t.Errorf("the error is %v, want %v", err, errOutdated)
	}
}
