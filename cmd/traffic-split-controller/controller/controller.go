// Package controller owns the loop that keeps a split file as the cluster's routes want
// it, and what an operator sees of it: events of the routes, log, metrics, health.
package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"gopkg.in/yaml.v3"
	"k8s.io/apimachinery/pkg/runtime"

	"kong-traffic-split/cmd/traffic-split-controller/cluster"
	"kong-traffic-split/cmd/traffic-split-controller/splits"
)

// Cluster is where the routes are from. [cluster.Cluster] is one.
type Cluster interface {
	splits.Objects
	Changed() <-chan struct{}
	Synced() bool
	Watches() []cluster.Watch
}

// Events tells the owners of objects about them.
type Events interface {
	Event(object runtime.Object, eventType, reason, message string)
}

// Changes come in bursts, as when a whole manifest is applied: the file is written when
// there was none for quiet, or for as long as patience.
const (
	quiet    = 100 * time.Millisecond
	patience = time.Second
)

// retry is how long to wait after the file could not be written.
const retry = 5 * time.Second

// A Controller keeps a split file.
type Controller struct {
	Cluster Cluster
	Maker   *splits.Maker
	File    *File
	Events  Events
	Log     *slog.Logger
	// Linger is how long the split of a route that is gone stays in the file: Kong's
	// ingress controller takes the Kong route away later than the route is deleted, and a
	// Kong route that has the plugin and no split fails.
	Linger time.Duration

	gone  map[string]time.Time // the splits in the file that no route wants, and since when
	told  map[string]string    // of each route's problems, by kind, namespace and name
	mu    sync.Mutex
	state state
}

// Run keeps the file until ctx is done.
func (c *Controller) Run(ctx context.Context) {
	c.gone, c.told = map[string]time.Time{}, map[string]string{}
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.Cluster.Changed():
			c.rest(ctx)
		case <-next.C:
		}
		if wait := c.step(time.Now()); wait > 0 {
			next.Reset(wait)
		}
	}
}

// rest waits until changes cease.
func (c *Controller) rest(ctx context.Context) {
	end := time.NewTimer(patience)
	defer end.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-end.C:
			return
		case <-c.Cluster.Changed():
		case <-time.After(quiet):
			return
		}
	}
}

// step brings the file up to date. It returns after what time to do so again without a
// change, 0 for never.
func (c *Controller) step(now time.Time) time.Duration {
	if !c.Cluster.Synced() {
		return 0 // what is not known yet is not gone
	}
	routes := c.Maker.Routes(c.Cluster)
	want, wait := c.want(routes, now)
	changed, err := c.File.Write(want)
	c.tell(routes)
	c.note(routes, len(want), changed, err, now)
	switch {
	case err != nil:
		c.Log.Error("the split file cannot be written; the last one stays in use", "error", err)
		return retry
	case changed:
		c.Log.Info("the split file is written", "path", c.File.Path, "splits", len(want))
	}
	return wait
}

// want returns the splits that belong into the file now, and after what time that changes
// by itself; 0: never.
func (c *Controller) want(routes []splits.Route, now time.Time) (map[string]*yaml.Node, time.Duration) {
	was, want := c.File.Splits(), map[string]*yaml.Node{}
	for _, r := range routes {
		for _, name := range r.Names {
			if split := r.Splits[name]; split != nil {
				want[name] = split
			} else if was[name] != nil { // of a route that is wrong: the last good one
				want[name] = was[name]
			}
		}
	}
	var wait time.Duration
	for name, split := range was {
		if want[name] != nil {
			delete(c.gone, name)
			continue
		}
		since, known := c.gone[name]
		if !known {
			since = now
			c.gone[name] = now
		}
		left := c.Linger - now.Sub(since)
		if left <= 0 {
			delete(c.gone, name)
			c.Log.Info("a split is taken out of the file: no route has it any more", "split", name)
			continue
		}
		want[name] = split
		if wait == 0 || left < wait {
			wait = left
		}
	}
	return want, wait
}

// tell tells the owners of routes what is new about their problems.
func (c *Controller) tell(routes []splits.Route) {
	told := make(map[string]string, len(routes))
	for _, r := range routes {
		key := r.Object.GetKind() + " " + r.Object.GetNamespace() + "/" + r.Object.GetName()
		message := messageOf(r)
		if message != "" {
			told[key] = message
		}
		switch was := c.told[key]; {
		case message == was:
		case message == "":
			c.Log.Info("a route is converted without problems again", "route", key)
			c.Events.Event(r.Object, "Normal", "TrafficSplitConverted", "Its weights are in effect.")
		case r.Wrong:
			c.Log.Error("a route is wrong; its last good splits stay in use, and without any its requests get 500", "route", key, "problems", message)
			c.Events.Event(r.Object, "Warning", "TrafficSplitWrong", message)
		default:
			c.Log.Warn("not all of a route can be converted", "route", key, "problems", message)
			c.Events.Event(r.Object, "Warning", "TrafficSplitPartial", message)
		}
	}
	for key := range c.told {
		if _, still := told[key]; !still && !slices.ContainsFunc(routes, func(r splits.Route) bool {
			return key == r.Object.GetKind()+" "+r.Object.GetNamespace()+"/"+r.Object.GetName()
		}) {
			c.Log.Info("a route with problems is gone, or has the plugin no more", "route", key)
		}
	}
	c.told = told
}

// maxMessage is the length of an event's message.
const maxMessage = 1024

// messageOf is what is wrong with a route, in one text.
func messageOf(r splits.Route) string {
	if len(r.Problems) == 0 {
		return ""
	}
	message := r.Problems[0]
	for i, p := range r.Problems[1:] {
		if more := fmt.Sprintf("; and %d more", len(r.Problems)-1-i); len(message)+len(p)+len(more)+2 > maxMessage {
			return cut(message+more, maxMessage)
		}
		message += "; " + p
	}
	if r.Wrong {
		message = "Its last good splits stay in use, and without any its requests get 500: " + message
	}
	return cut(message, maxMessage)
}

func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 3 && s[limit-3]&0xc0 == 0x80 { // not within a rune
		limit--
	}
	return s[:limit-3] + "..."
}

// errNotReady is what Ready returns before there is a file.
var errNotReady = errors.New("there is no split file yet")

// sortedNames are the names of splits in order.
func sortedNames(splits map[string]*yaml.Node) []string { return slices.Sorted(maps.Keys(splits)) }
