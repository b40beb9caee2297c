// Package plugin is the Kong side of traffic-split: it asks Kong for the facts
// that a decision depends on, has plugin/split decide, and tells Kong the
// outcome through go-pdk. It owns the live splits: which revision of a split a
// request sees, the one state that all of Kong's workers share, and what is
// counted of it. To probe backends is up to plugin/health, to send copies to
// plugin/mirror, to read split files to plugin/file, to show what was counted to
// plugin/status, and the socket to plugin/server.
package plugin

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/state"
)

// What Kong knows the plugin by.
const (
	Name    = "traffic-split"
	Version = "0.1.0"
	// Priority is that of Kong's own canary plugin: after authentication, ACLs,
	// rate limiting and request transformation.
	Priority = 20
)

// Phases are the phases of a request in which Kong calls the plugin. The log
// phase, which says what has become of requests, is one of them with outcomes
// only: to have it costs every request.
func Phases(outcomes bool) []string {
	phases := []string{"access", "preread"}
	if outcomes {
		phases = append(phases, "log")
	}
	return phases
}

// Options are what a plugin needs of its surroundings.
type Options struct {
	// Outcomes says that Kong calls the plugin in the log phase. Configurations
	// that need it are refused otherwise.
	Outcomes bool
	// Probers probe backends.
	Probers Probers
	// Mirrors send copies of requests to shadows; nil: they are all dropped.
	Mirrors Mirrors
	// State is saved there; nil: it ends with this process.
	State state.Store
	// Log gets what is of no single request.
	Log *slog.Logger
}

// A Plugin holds the splits of a process. Its methods may be called by several
// goroutines at once.
type Plugin struct {
	Options
	rows    rows
	configs configs
	file    fileSplits
	saving  sync.Mutex // held while the state of a split is saved

	sampling    sampling
	comparisons comparisons
}

// New returns a plugin without splits.
func New(o Options) *Plugin {
	if o.State == nil {
		o.State = new(state.Memory)
	}
	if o.Mirrors == nil {
		o.Mirrors = noMirrors{}
	}
	p := &Plugin{Options: o}
	p.rows = rows{plugin: p, byID: map[string]*row{}}
	p.configs = configs{plugin: p, byID: map[string]*rowConfigs{}, kept: map[string]*savedConfig{}}
	p.file.plugin = p
	p.file.current.Store(new(fileRevision))
	return p
}

// ConfigOptions are how configurations are to be checked, so that those which the
// plugin cannot serve are refused.
func (p *Plugin) ConfigOptions() []config.Option {
	if p.Outcomes {
		return nil
	}
	return []config.Option{config.WithoutOutcomes}
}

// Start makes an instance for one plugin row from the JSON that Kong sends. Where the
// row's config is wrong, it serves by the row's last good one at the same place, or
// else refuses all requests.
func (p *Plugin) Start(text []byte) *Instance {
	i := &Instance{plugin: p}
	sent, err := config.ParseKong(text)
	place, misplaced := placementOf(sent)
	if err == nil {
		err = misplaced
	}
	i.placement = place
	i.row, i.started = p.configs.add(place.PluginID)
	if place.InstanceName != "" {
		i.row.name.Store(&place.InstanceName)
	}
	if err == nil {
		err = p.guard(func() error {
			c, problems := config.DecodeRow(sent, p.ConfigOptions()...)
			if problems != nil {
				return problems
			}
			i.config = c
			s := new(serving)
			s.use(i, c)
			i.serving.Store(s)
			return nil
		})
	}
	if err != nil {
		i.sent = sent
		wrong := &refusal{status: 500, message: misconfiguredMessage, reason: err}
		i.wrong.Store(wrong)
		_, _ = i.fallBack(wrong, time.Now()) // already now, before Kong closes the one that serves so far
	}
	return i
}

// guard makes an error of a panic of what serves a config: there may be another one to
// go on with.
func (p *Plugin) guard(serve func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			p.Log.Error("panic while a config was read", "panic", v, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return serve()
}

// SetSplits makes splits, by name, the ones that rows without backends of their
// own refer to, all at once: a request sees either the old ones or these. A
// split whose backends and weights are as before goes on where it was.
func (p *Plugin) SetSplits(splits map[string]*config.Config) {
	p.file.set(splits)
}
