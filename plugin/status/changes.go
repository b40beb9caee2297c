package status

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxChanges is how many changes are kept, and maxChange how long one is, in bytes.
const (
	maxChanges = 50
	maxChange  = 1000
)

// A Change is something that the log has told of a split, or that has gone wrong.
type Change struct {
	At time.Time `json:"at"`
	// Split is as in [plugin.SplitStatus]; empty: it is about no single one.
	Split string `json:"split,omitempty"`
	Text  string `json:"text"`
	Wrong bool   `json:"wrong"` // the log has it as a warning or an error
}

// Changes are the last ones of this process, the oldest first. It is the handler of its log,
// so that nothing is told in one place and not in the other. Use [NewChanges]. It is safe
// for concurrent use.
type Changes struct {
	slog.Handler
	with []slog.Attr // of each record
	kept *kept
}

type kept struct {
	mu  sync.Mutex
	all []Change
}

// NewChanges returns changes that pass the log on to another handler.
func NewChanges(to slog.Handler) *Changes { return &Changes{Handler: to, kept: new(kept)} }

// All returns the changes.
func (c *Changes) All() []Change {
	c.kept.mu.Lock()
	defer c.kept.mu.Unlock()
	return slices.Clone(c.kept.all)
}

// Handle implements [slog.Handler].
func (c *Changes) Handle(ctx context.Context, r slog.Record) error {
	change := Change{At: r.Time, Wrong: r.Level >= slog.LevelWarn}
	var text strings.Builder
	text.WriteString(r.Message)
	add := func(a slog.Attr) bool {
		value := a.Value.Resolve().String()
		if a.Key == "split" {
			change.Split = value
			return true
		}
		if strings.ContainsAny(value, " \"=\n\r\t") || value == "" {
			value = strconv.Quote(value)
		}
		text.WriteString(" " + a.Key + "=" + value)
		return true
	}
	for _, a := range c.with {
		add(a)
	}
	r.Attrs(add)
	if change.Split != "" || change.Wrong {
		change.Text = text.String()
		if len(change.Text) > maxChange {
			change.Text = strings.ToValidUTF8(change.Text[:maxChange], "") + "…"
		}
		c.kept.add(change)
	}
	return c.Handler.Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (c *Changes) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &Changes{c.Handler.WithAttrs(attrs), append(slices.Clip(c.with), attrs...), c.kept}
}

// WithGroup implements [slog.Handler]. The names of groups are left out of changes.
func (c *Changes) WithGroup(name string) slog.Handler {
	return &Changes{c.Handler.WithGroup(name), c.with, c.kept}
}

// add adds a change. A warning takes the place of the same one, so that one that is told
// over and over does not displace all else.
func (k *kept) add(c Change) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if c.Wrong {
		k.all = slices.DeleteFunc(k.all, func(old Change) bool { return old.Split == c.Split && old.Text == c.Text })
	}
	if len(k.all) == maxChanges {
		k.all = slices.Delete(k.all, 0, 1)
	}
	k.all = append(k.all, c)
}
