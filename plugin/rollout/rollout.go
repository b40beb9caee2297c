// Package rollout owns what an operator does in a rollout: each command as edits of a
// split's configuration, which alone says what happens. It writes nothing itself.
package rollout

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"kong-traffic-split/plugin/config"
)

// Change is what a command makes of a configuration.
type Change struct {
	Edits []config.Edit // their paths begin in the split's own map; none: nothing changes
	Notes []string      // what the operator should know of it, a sentence each
	// Sessions is what becomes of those who have a session; empty: nothing does.
	Sessions string
}

func (c *Change) set(value *config.Node, path ...any) {
	c.Edits = append(c.Edits, config.Edit{Path: path, Value: value})
}

func (c *Change) remove(path ...any) { c.set(nil, path...) }

func (c *Change) note(format string, args ...any) {
	c.Notes = append(c.Notes, fmt.Sprintf(format, args...))
}

// Weight is a weight to be set. Its text need not be a number: the configuration's own
// checks say what is wrong with it.
type Weight struct{ Backend, Text string }

// Value returns what somebody has written as a value: a number by JSON's grammar, a
// boolean, or else a string.
func Value(text string) *config.Node {
	n, err := config.ParseKong([]byte(text))
	if err == nil && n.Kind == config.Number {
		_, err = strconv.ParseFloat(text, 64) // one that is too large is none
	}
	if err == nil && (n.Kind == config.Number || n.Kind == config.Bool) && strings.TrimSpace(text) == text {
		return n
	}
	return config.Text(text)
}

// Set sets weights of backends.
func Set(c *config.Config, weights ...Weight) (Change, error) {
	var out Change
	left := make([]bool, len(c.Backends)) // who has a weight
	for i, b := range c.Backends {
		left[i] = b.Weight > 0
	}
	seen := map[string]bool{}
	for _, w := range weights {
		i, err := backend(c, w.Backend)
		if err != nil {
			return out, err
		}
		if seen[w.Backend] {
			return out, fmt.Errorf("%s is given twice", w.Backend)
		}
		seen[w.Backend] = true
		if err := rampless(c, w.Backend); err != nil {
			return out, err
		}
		if w.Text != strconv.Itoa(c.Backends[i].Weight) {
			out.set(Value(w.Text), "backends", i, "weight")
		}
		if left[i] = w.Text != "0"; !left[i] && c.Backends[i].Weight > 0 {
			out.stays(c, w.Backend)
		}
	}
	if !slices.Contains(left, true) && c.Ramp == nil { // with a ramp, the configuration's own checks say so
		return out, errors.New("no backend would take new clients, and Kong would answer all of them with 500; give another one a weight first")
	}
	return out, nil
}

// Drain has a backend take no new clients.
func Drain(c *config.Config, name string) (Change, error) {
	return Set(c, Weight{name, "0"})
}

// EndSessions adds to a change that all sessions end, so that everybody is chosen for anew.
func EndSessions(c *config.Config, out *Change) error {
	if c.Session == nil {
		return errors.New("has no session, so that there is none to end")
	}
	out.set(config.Int(c.Session.Generation+1), "session", "generation")
	out.Sessions = "all sessions end with this change: everybody is chosen for anew"
	return nil
}

// Share is a backend's share of new clients, with six decimals.
type Share struct {
	Backend string
	Percent float64
}

// Shares returns the share of each backend at now, by the configuration alone: what a
// server has seen, such as a rollback, is not in it.
func Shares(c *config.Config, now time.Time) []Share {
	weights := make([]float64, len(c.Backends))
	rest := 0.0 // of the weights, without the ramp's backend
	r := c.Compile("").Ramp
	for i, b := range c.Backends {
		if weights[i] = float64(b.Weight); r == nil || i != r.Backend {
			rest += weights[i]
		}
	}
	if r != nil {
		share := float64(r.ShareAt(now)) / 10000
		for i := range weights {
			weights[i] *= 1 - share
		}
		weights[r.Backend] = share * rest
	}
	out := make([]Share, len(weights))
	for i, b := range c.Backends {
		out[i] = Share{b.Name, math.Round(weights[i]/max(rest, 1)*1e8) / 1e6}
	}
	return out
}

// backend returns the index of a backend.
func backend(c *config.Config, name string) (int, error) {
	i := slices.IndexFunc(c.Backends, func(b config.Backend) bool { return b.Name == name })
	if i < 0 {
		names := make([]string, len(c.Backends))
		for i, b := range c.Backends {
			names[i] = b.Name
		}
		return 0, fmt.Errorf("%q is not the name of a backend; there are %s", name, strings.Join(names, ", "))
	}
	return i, nil
}

// rampless returns an error if a ramp decides a backend's share.
func rampless(c *config.Config, name string) error {
	if c.Ramp == nil || c.Ramp.Backend != name {
		return nil
	}
	return fmt.Errorf("%s has its share from the ramp, so that its weight does nothing: take ramp widen, hold, abort or finish", name)
}

// stays says what becomes of those who have a session with a backend that takes no new
// clients.
func (c *Change) stays(of *config.Config, name string) {
	if of.Session == nil {
		return
	}
	until := "the browser is closed"
	if age := of.Session.MaxAge; age > 0 {
		until = "it expires, " + (time.Duration(age) * time.Second).String() + " after it was given"
	}
	c.Sessions = fmt.Sprintf("who has a session with %s stays there until %s; with --end-sessions everybody is chosen for anew", name, until)
}

// Percent returns a share, in hundredths of a percent, as messages have it.
func Percent(hundredths int) string {
	return strconv.FormatFloat(float64(hundredths)/100, 'f', -1, 64) + " %"
}
