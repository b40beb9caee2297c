package plugin

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	pdk "github.com/Kong/go-pdk"

	"kong-traffic-split/plugin/config"
)

// An Instance is the plugin with the config of one plugin row. Its methods may
// be called by several goroutines at once.
type Instance struct {
	plugin    *Plugin
	placement placement
	row       *rowConfigs // of all instances of the plugin row
	started   uint64      // higher than that of all instances that were started before
	arrived   bool        // it has had a request or connection; of the row's lock

	config *config.Config // nil: it is wrong
	sent   *config.Node   // of a wrong one: what Kong has sent
	wrong  atomic.Pointer[refusal]
	failed atomic.Pointer[failure]     // what is wrong with a config that is right otherwise
	saved  atomic.Pointer[savedConfig] // as which the config was saved; nil: it was not yet

	serving atomic.Pointer[serving] // nil: no config that could be used

	mu     sync.Mutex // held to change what it serves
	closed atomic.Bool
	begin  sync.Once    // its first request or connection
	last   atomic.Int64 // when the last one came, in Unix nanoseconds

	streams atomic.Bool // it has had TCP or TLS connections, and so has no requests
	begun   atomic.Bool // it has had one of either

	route    remembered[route]
	matching remembered[config.Route]
	service  remembered[service]
}

// serving is the config by which an instance decides: its own, or the last good one of
// its row. It does not change.
type serving struct {
	live    *live // the row's own split; nil where it comes from a split file
	release func()
	entry   string // the split file's entry; empty: the one named like the route

	good        *savedConfig // nil: it is the instance's own
	lacksSecret bool         // and so does not pin clients
	err         error        // why it cannot be used
}

// failure is a mistake in a config that only requests show.
type failure struct {
	error
	ofFiles bool          // it is one in the split files, or that those lack something
	files   *fileRevision // what they were then
}

// placement is where a plugin row sits in Kong's configuration, from what Kong
// adds to its config.
type placement struct {
	PluginID, RouteID, ServiceID, ConsumerID string
	// InstanceName is what people call the row; empty: it has no name.
	InstanceName string
	// Seq numbers the configs that a worker of Kong's has loaded, from 1; 0: not known.
	Seq int64

	unknown bool // it cannot be decoded, but for the id perhaps
}

// placementOf returns the placement in what Kong has sent.
func placementOf(sent *config.Node) (p placement, err error) {
	id := func(key string) string {
		v := sent.Get(key)
		if v == nil || v.Kind == config.Null {
			return ""
		}
		if v.Kind != config.String {
			err = fmt.Errorf("what Kong adds to the config: %s is not a string", key)
		}
		return v.Text
	}
	p = placement{PluginID: id("__plugin_id"), RouteID: id("route_id"), ServiceID: id("service_id"), ConsumerID: id("consumer_id"), InstanceName: id("plugin_instance_name")}
	p.unknown = err != nil
	if v := sent.Get("__seq__"); v != nil && v.Kind == config.Number {
		p.Seq, _ = strconv.ParseInt(v.Text, 10, 64)
	}
	return p, err
}

// key names the place: of rows that have the same id, the same one is only where nobody
// has moved it.
func (p *placement) key() string {
	if p.unknown {
		return "unknown" // where nothing was ever good
	}
	return "route=" + p.RouteID + " service=" + p.ServiceID + " consumer=" + p.ConsumerID
}

// PluginID returns the id of the plugin row; empty: it is not known.
func (i *Instance) PluginID() string { return i.placement.PluginID }

// Handle runs a phase of one request. An error that the client is to see has
// the methods Status and Message; Error is for Kong's log.
func (i *Instance) Handle(phase string, now time.Time, k *pdk.PDK) error {
	r := &request{Instance: i, kong: k, now: now, stream: phase == "preread"}
	switch phase {
	case "access", "preread":
		return r.decide()
	case "log":
		return r.observe()
	}
	return nil
}

// enter records that a request or connection has come, and returns what decides it.
func (i *Instance) enter(stream bool, now time.Time) (*serving, error) {
	i.begin.Do(func() {
		if stream {
			i.streams.Store(true)
			i.refuseHTTP()
		}
	})
	i.last.Store(now.UnixNano())
	i.row.requested(i, now)
	wrong := i.wrong.Load()
	if wrong == nil {
		return i.serving.Load(), nil
	}
	return i.fallBack(wrong, now)
}

// refuseHTTP refuses a config that cannot be on a TCP or TLS route.
func (i *Instance) refuseHTTP() {
	if s := i.serving.Load(); s != nil && s.live != nil && s.live.needsHTTP != "" && i.wrong.Load() == nil {
		i.wrong.Store(refuseHTTP(s.live.needsHTTP))
	}
}

// fallBack returns the last good config of the row at its place, instead of a wrong one.
func (i *Instance) fallBack(wrong *refusal, now time.Time) (*serving, error) {
	good := i.row.goodAt(i.placement.key(), now)
	if good == nil {
		return nil, wrong
	}
	s := i.serving.Load()
	if s == nil || s.good != good {
		s = i.restore(good)
	}
	if s.err != nil {
		return nil, &refusal{wrong.status, wrong.message, fmt.Errorf("%w (%w)", wrong.reason, s.err)}
	}
	return s, nil
}

// restore has i use a last good config.
func (i *Instance) restore(good *savedConfig) *serving {
	i.mu.Lock()
	defer i.mu.Unlock()
	was := i.serving.Load()
	if was != nil && was.good != nil && was.good.same(good) {
		same := *was // but for the time of its last use
		same.good = good
		i.serving.Store(&same)
		return &same
	}
	s := &serving{good: good}
	if good.lost() {
		s.err = fmt.Errorf("the last good config is longer than %d bytes, the most that is saved", maxSavedConfig)
	} else if err := i.plugin.guard(func() error {
		c, lacksSecret, err := config.Restore(good.Config, i.sent, good.config)
		if err == nil {
			s.lacksSecret = lacksSecret
			s.use(i, c)
		}
		return err
	}); err != nil {
		s.err = fmt.Errorf("the last good config cannot be used: %w", err)
	}
	i.serving.Store(s)
	if was != nil && was.release != nil {
		was.release() // requests in flight end with it all the same
	}
	if i.closed.Load() && s.release != nil {
		s.release()
	}
	return s
}

// use has s serve a config.
func (s *serving) use(i *Instance, c *config.Config) {
	if len(c.Backends) > 0 {
		s.live, s.release = i.plugin.rows.add(i.placement, c)
	} else {
		s.entry = c.Split
	}
}

func (i *Instance) lastRequest() time.Time { return time.Unix(0, i.last.Load()) }

// problem is what is wrong with the config, as far as is known; nil: nothing.
func (i *Instance) problem() error {
	if wrong := i.wrong.Load(); wrong != nil {
		return wrong
	}
	if f := i.failed.Load(); f != nil && (!f.ofFiles || f.files == i.plugin.file.current.Load()) {
		return f.error
	}
	return nil
}

// isGood reports whether requests have shown nothing that is wrong with the config.
func (i *Instance) isGood() bool {
	f := i.failed.Load()
	return f == nil || f.ofFiles
}

// inUse says what is in use instead of a config that is wrong.
func (i *Instance) inUse() string {
	switch s := i.serving.Load(); {
	case i.wrong.Load() == nil:
		return "this one; requests for which that matters are answered with 500"
	case s == nil || s.err != nil:
		return "none: requests are answered with 500, as no config of this row was good at this place within a day"
	case s.lacksSecret:
		return "the last good one, but clients are not pinned: session.secret is not saved, and the wrong one has none that is right"
	}
	return "the last good one"
}

// logChange logs what is different in the config of i from that of was, after which it is
// the present one; nil: it is the first.
func (i *Instance) logChange(was *Instance, now time.Time) {
	if was == nil {
		return
	}
	before, s := was.serving.Load(), i.serving.Load()
	if before != nil && before.live != nil && s != nil && s.live != nil {
		s.live.logChange(before.live, now, i.plugin.Log)
	}
}

// Close lets go of the row's state.
func (i *Instance) Close() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.closed.Store(true)
	if s := i.serving.Load(); s != nil && s.release != nil {
		s.release()
	}
	i.plugin.configs.drop(i.row)
}
