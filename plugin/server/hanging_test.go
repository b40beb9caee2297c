package server

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	pdk "github.com/Kong/go-pdk"
)

// probe asks the server whether it serves; "": it does.
func (s *inMemory) probe() string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	kong := s.dial()
	defer kong.Close()
	if err := Probe(ctx, kong, s.plugin.Name); err != nil {
		return err.Error()
	}
	return ""
}

// A server with a call that it cannot get done serves no more, for those who ask: what
// holds one call up holds up others. One that waits for Kong does.
func TestAServerThatHangs(t *testing.T) {
	release := make(chan struct{})
	plugin := pluginOf(func(phase string, kong *pdk.PDK) error {
		if phase == "rewrite" {
			_, err := kong.Request.GetHost()
			if err != nil {
				return err
			}
		}
		if phase != "preread" {
			<-release
		}
		return kong.Service.SetTarget("a", 80)
	})
	for _, tt := range []struct {
		name  string
		does  func(kong pipe, id int32)
		hangs bool
	}{
		{"nothing is in flight", func(pipe, int32) {}, false},
		{"Kong does not reply", func(kong pipe, id int32) { kong.sends(eventOf(t, id, "rewrite"), 2) }, false},
		{"Kong does not reply between two calls", func(kong pipe, id int32) { kong.sends(eventOf(t, id, "preread"), 4) }, false},
		{"Kong does not read", func(kong pipe, id int32) { kong.sends(eventOf(t, id, "preread"), 1) }, false},
		{"a handler", func(kong pipe, id int32) { kong.sends(eventOf(t, id, "access"), 0) }, true},
		{"a handler after Kong's reply", func(kong pipe, id int32) {
			kong.sends(eventOf(t, id, "rewrite"), 2)
			time.Sleep(workTime)
			kong.sends(host, 0)
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, plugin, func(t *testing.T, s *inMemory) {
				release = make(chan struct{})
				id := s.start(startOf(`{}`), 0).id
				tt.does(s.dial(), id)
				time.Sleep(workTime - watchPause)
				if got := s.probe(); got != "" {
					t.Errorf("too early: %s", got)
				}
				time.Sleep(3 * watchPause)
				want, log := "", ""
				if tt.hangs {
					want, log = "no plugin server answers: EOF", "the server hangs: calls that are worked on for more than 10s: 1"
				}
				if got := s.probe(); got != want {
					t.Errorf("it is said %q, want %q", got, want)
				}
				if !strings.Contains(s.logs.String(), log) {
					t.Errorf("the log does not have %q:\n%s", log, s.logs)
				}
				close(release)
				synctest.Wait()
				if got := s.probe(); got != "" {
					t.Errorf("afterwards: %s", got)
				}
			})
		})
	}
}
