package standin

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"kong-traffic-split/kong/companion"
)

// A handler is a plugin that is enabled: one of the bundled ones, or one of a
// plugin server.
type handler struct {
	name     string
	version  string
	priority int
	external *externalPlugin
	access   phaseFunc // nil, as the others: it does not have the phase
	preread  phaseFunc
	log      phaseFunc
	filter   filterFunc
}

// A filterFunc is the phase header_filter of a plugin, which changes the header of the
// answer.
type filterFunc func(x *exchange, row *pluginRow, header http.Header)

// A phaseFunc runs a phase of a plugin, for one of its rows.
type phaseFunc func(x *exchange, row *pluginRow) error

// newHandlers lists the enabled plugins in the order in which they run.
func (g *Gateway) newHandlers(enabled []string, external []externalPlugin) []*handler {
	var all []*handler
	for _, name := range enabled {
		switch name {
		case "key-auth":
			all = append(all, &handler{name: name, version: version, priority: 1250, access: keyAuth})
		case companion.Plugin:
			all = append(all, &handler{name: name, version: version, priority: -1000, access: runCompanion, filter: filterAnswer})
		case "redirect":
			all = append(all, &handler{name: name, version: version, priority: 779, access: redirect})
		case "request-transformer":
			all = append(all, &handler{name: name, version: version, priority: 801, access: transformRequest})
		case "response-transformer":
			all = append(all, &handler{
				name: name, version: version, priority: 800, access: refuseBodies, filter: transformResponse,
			})
		case "request-termination":
			all = append(all, &handler{name: name, version: version, priority: 2, access: terminate})
		case "file-log":
			all = append(all, &handler{name: name, version: version, priority: 9, log: g.files.log})
		}
	}
	for i := range external {
		p := &external[i]
		if slices.Contains(enabled, p.name) {
			all = append(all, newExternalHandler(p))
		}
	}
	slices.SortStableFunc(all, func(a, b *handler) int { return cmp.Compare(b.priority, a.priority) })
	return all
}

func newExternalHandler(p *externalPlugin) *handler {
	h := &handler{name: p.name, version: p.version, priority: p.priority, external: p}
	for name, phase := range map[string]*phaseFunc{
		"access": &h.access, "preread": &h.preread, "log": &h.log,
	} {
		if p.has(name) {
			*phase = func(x *exchange, row *pluginRow) error {
				return x.view.worker.handleEvent(x, p, row, name)
			}
		}
	}
	return h
}

// filterHeader runs the phase header_filter on the header of the answer.
func (x *exchange) filterHeader(header http.Header) {
	for _, c := range x.collected {
		if c.plugin.filter != nil {
			c.plugin.filter(x, c.row, header)
		}
	}
	if _, given := header["Content-Type"]; !given {
		header["Content-Type"] = nil // nothing is guessed
	}
}

// finish runs the log phase, and closes what the request has held.
func (x *exchange) finish() {
	x.phase = phaseLog
	x.times.finished = cmp.Or(x.times.finished, time.Now())
	var logs []collected
	for _, c := range x.collected {
		switch {
		case c.plugin.log == nil:
		case c.plugin.external == nil:
			x.runLog(c)
		default:
			logs = append(logs, c)
		}
	}
	if len(logs) == 0 {
		x.releaseHeld()
		return
	}
	// Kong runs these in a timer, after the request.
	x.view.worker.requests.Go(func() {
		for _, c := range logs {
			x.runLog(c)
		}
		x.releaseHeld()
	})
}

func (x *exchange) runLog(c collected) {
	x.plugin = c.plugin.name
	if err := c.plugin.log(x, c.row); err != nil {
		x.gateway.log.print(levelError, x.conn.number, "lua entry thread aborted: runtime error: "+err.Error(), x.logContext())
	}
}
