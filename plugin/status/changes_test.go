package status

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What the log tells of splits, or that is wrong, is kept; the log has all of it.
func TestChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		c := NewChanges(slog.NewTextHandler(&text, nil))
		log := slog.New(c)
		log.Info("splits read", "path", "splits.yaml")
		log.Debug("nobody wants to know", "split", "shop")
		log.Info("a weight has changed", "split", "shop", "backend", "canary", "weight", "10->20")
		log.With("split", "web").WithGroup("g").Info("a config has changed", "revision", "a b", "empty", "")
		log.Error("the split file is wrong", "path", "splits.yaml")
		log.Warn(strings.Repeat("ä", maxChange), "split", "shop")
		now := time.Now()
		want := []Change{
			{now, "shop", "a weight has changed backend=canary weight=10->20", false},
			{now, "web", `a config has changed revision="a b" empty=""`, false},
			{now, "", "the split file is wrong path=splits.yaml", true},
			{now, "shop", strings.Repeat("ä", maxChange/2) + "…", true},
		}
		if diff := cmp.Diff(want, c.All()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if lines := strings.Count(text.String(), "\n"); lines != 5 || !strings.Contains(text.String(), `g.revision="a b"`) {
			t.Errorf("the log has %d lines:\n%s", lines, &text)
		}
		for range 2 * maxChanges {
			log.Error("the split file is wrong", "path", "splits.yaml")
		}
		want = []Change{want[0], want[1], want[3], want[2]}
		if diff := cmp.Diff(want, c.All()); diff != "" {
			t.Errorf("with an error that is told over and over (-want +got):\n%s", diff)
		}
		for i := range maxChanges {
			log.Info(fmt.Sprint("change ", i), "split", "shop")
		}
		if all := c.All(); len(all) != maxChanges || all[0].Text != "change 0" {
			t.Errorf("%d changes from %q on", len(all), all[0].Text)
		}
	})
}

// Changes of a row have its name, as the log has only its id.
func TestChangesHaveNames(t *testing.T) {
	s := source()
	r := s.report()
	if r.Changes[0].Split != "shop" || r.Changes[1].Split != "" {
		t.Errorf("got %+v", r.Changes)
	}
}
