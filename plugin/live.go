package plugin

import (
	"slices"
	"sync/atomic"
	"time"

	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/split"
)

// live is one revision of a split, ready to serve requests. But for its watches and
// its tally it never changes; its state is shared with every revision that has the
// same weights and ramp, and what befalls backends and ramps with all of them.
type live struct {
	split          *split.Split
	state          *split.State
	since          time.Time                                  // it is in use
	seq            int64                                      // of a row's config: higher with each that a worker of Kong's loads; 0: not known
	stateKey       string                                     // the key of its saved state
	backends       []backend                                  // in the order of split.Backends
	wanted         wants                                      // what any of them depends on
	wantedByAll    wants                                      // likewise, what every one with a share does
	probed         bool                                       // some of them are
	changed        func(backend int) time.Time                // [split.Facts.Changed]; nil: nothing depends on it
	facts, more    []fact                                     // that a decision depends on, and what only one that no session makes does
	reads          []call                                     // of facts
	laterReads     [][]call                                   // of more
	path           bool                                       // the path is among these
	allHeaders     bool                                       // all headers that the client has sent are among these
	needsHTTP      string                                     // parameters that a TCP or TLS connection cannot have
	service        int                                        // the index of the backend that is the route's own Service; -1: none is
	observed       bool                                       // the outcomes of its requests matter
	judged         bool                                       // likewise, to a guard, passive health checks or comparisons with shadows
	changesHeaders bool                                       // between two tries of a request
	entry          string                                     // its name in the split files; empty: it is a row's own
	marks          []atomic.Pointer[keyedCall[split.Subject]] // for the log phase then, in the order of the backends
	logs           bool                                       // decisions are added to what log plugins write
	shadows        []shadow                                   // that get copies, in the order of the split's mirrors
	watches        watches
	tally          tally

	config      *config.Config
	used        atomic.Int64  // of one in the split files: when a row on a route last used it, in Unix seconds, to the hour
	missed      atomic.Int64  // of one that has vanished from there: when a row on a route last used it since, in Unix seconds
	missedSince atomic.Int64  // when that began
	kept        atomic.Uint64 // a [split.Set]: the unhealthy backends that max_ejected kept when that was last logged
	savedKept   atomic.Uint64 // a [split.Set]: [split.State.Kept] when the state was last saved
	lacksSecret bool          // it is one of an earlier process, whose secrets are not saved
}

// newLive makes a revision live. name is the split's in the split files; empty: it
// is a row's own. was is the revision before it; nil: it is the first.
func (p *Plugin) newLive(c *config.Config, s *split.Split, st *split.State, name string, was *live) *live {
	compares := p.Outcomes && len(s.Mirrors) > 0
	l := &live{
		split: s, state: st, since: time.Now(), entry: name, stateKey: rowStates + s.Identity, backends: make([]backend, len(c.Backends)), tally: newTally(c, s, was),
		wantedByAll: ^wants(0), service: -1, needsHTTP: c.NeedsHTTP(),
		observed: isJudged(s) || p.Outcomes && c.NeedsCompanion() || compares, judged: isJudged(s) || compares, changesHeaders: c.RetryChangesHeaders(), logs: c.LogDecision, config: c,
		shadows: newShadows(c, was, p.Log.With("split", s.Identity)),
	}
	if name != "" {
		l.stateKey = fileStates + name
	}
	l.facts, l.more = factsOf(s)
	l.reads = readsOf(l.facts)
	if reads := readsOf(l.more); reads != nil {
		l.laterReads = append(l.laterReads, reads)
	}
	l.path = slices.ContainsFunc(l.reads, func(c call) bool { return c.Method == getPath.Method })
	l.allHeaders = slices.ContainsFunc(l.reads, func(c call) bool { return c.Method == "kong.request.get_headers" })
	for i := range c.Backends {
		l.backends[i].prepare(c, i)
		w := wantsOf(&c.Backends[i], c.Retry != nil)
		if c.Retry != nil {
			w |= wantsService
		}
		if l.changesHeaders {
			w |= wantsRoute
		}
		l.wanted |= w
		if c.Backends[i].Weight > 0 {
			l.wantedByAll &= w
		}
		if c.Backends[i].Service {
			l.service = i
		}
		l.probed = l.probed || isProbed(&c.Backends[i])
	}
	l.wantedByAll &= l.wanted // where none has a share
	l.readForRedirects(c.Backends)
	if len(l.shadows) > 0 {
		l.wanted |= wantsRoute | wantsService
		reads := l.reads
		if l.wanted&(wantsURI|wantsMatching) != 0 { // a request that is not copied may ask for it, and would ask for all the others with it
			reads = append(slices.Clip(reads), getURI)
		}
		l.laterReads = append(l.laterReads, copyReads(reads))
	}
	if l.probed {
		l.changed = l.watches.changed
	}
	if l.observed {
		l.marks = make([]atomic.Pointer[keyedCall[split.Subject]], len(l.backends))
	}
	return l
}

// index returns the place of the backend of that name; -1: there is none.
func (l *live) index(backend string) int {
	if l == nil {
		return -1
	}
	return slices.IndexFunc(l.split.Backends, func(b split.Backend) bool { return b.Name == backend })
}
