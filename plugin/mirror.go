package plugin

import (
	"cmp"
	"log/slog"
	"maps"
	"math/bits"
	"slices"
	"strings"
	"time"

	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/mirror"
	"kong-traffic-split/plugin/split"
)

// Mirrors send copies of requests: a [mirror.Senders], or in tests what needs no network.
type Mirrors interface {
	Admit(t mirror.Target, now time.Time) mirror.Drop
	Send(c *mirror.Copy) mirror.Drop
}

// noMirrors drop all copies.
type noMirrors struct{}

func (noMirrors) Admit(mirror.Target, time.Time) mirror.Drop { return mirror.Closed }
func (noMirrors) Send(*mirror.Copy) mirror.Drop              { return mirror.Closed }

// Why a request is not copied although it was its turn, besides the reasons of plugin/mirror.
const (
	isCopy         mirror.Drop = "copy"             // it is a copy itself
	isGRPC         mirror.Drop = "grpc"             // a copy of a stream would be one that waits
	isWebSocket    mirror.Drop = "websocket"        // likewise
	tooManyHeaders mirror.Drop = "too_many_headers" // of which Kong does not tell all
	bodyUnbounded  mirror.Drop = "body_unbounded"   // it does not say how long its body is
	bodyTooLong    mirror.Drop = "body_too_long"    // longer than max_body
	bodyUnbuffered mirror.Drop = "body_unbuffered"  // to read it would delay the request, as the route does not buffer it
	bodyUnreadable mirror.Drop = "body_unreadable"  // it is in a file that cannot be opened
	noPath         mirror.Drop = "path_unavailable" // the shadow has a path that Kong cannot be told
)

// uncopied are all reasons, in the order of the metrics' documentation.
var uncopied = [...]mirror.Drop{
	isCopy, isGRPC, isWebSocket, tooManyHeaders, bodyUnbounded, bodyTooLong, bodyUnbuffered, bodyUnreadable, noPath,
	mirror.Invalid, mirror.QueueFull, mirror.MemoryFull, mirror.ShadowDown, mirror.Closed,
}

// isOfRequest has the reasons that lie in a request, and not in a shadow or a config.
var isOfRequest = map[mirror.Drop]bool{
	isCopy: true, isGRPC: true, isWebSocket: true, tooManyHeaders: true, mirror.Invalid: true, bodyUnbounded: true, bodyTooLong: true, bodyUnbuffered: true,
}

// shadow is one that gets copies of a split's requests.
type shadow struct {
	config.Mirror
	name    string
	backend config.Backend // where they go
	headers [2]config.RequestHeaders
	tally   *copyTally
	log     *slog.Logger
}

// newShadows returns those of a config, whose tallies go on from those of the revision before;
// nil: there is none.
func newShadows(c *config.Config, before *live, log *slog.Logger) []shadow {
	if len(c.Mirror) == 0 {
		return nil
	}
	all := make([]shadow, len(c.Mirror))
	for i, m := range c.Mirror {
		b, name := c.Shadow(i), m.Name()
		all[i] = shadow{
			Mirror: m, name: name, backend: b, headers: [...]config.RequestHeaders{b.RequestHeaders, m.RequestHeaders},
			log: log.With("shadow", name),
		}
		if before != nil {
			j := slices.IndexFunc(before.shadows, func(s shadow) bool { return s.name == name })
			if j >= 0 {
				all[i].tally = before.shadows[j].tally
			}
		}
		if all[i].tally == nil {
			all[i].tally = newCopyTally()
		}
	}
	return all
}

// target returns where copies go behind a Service of that protocol; empty: there is none, as
// all backends redirect.
func (s *shadow) target(serviceProtocol string) mirror.Target {
	protocol := cmp.Or(s.backend.Protocol, serviceProtocol, "http")
	return mirror.Target{Protocol: protocol, Host: s.backend.Host, Port: s.backend.Port}
}

// copy has the shadows whose turn it is get their copies of the request, which Kong has been
// told nothing of but its destination. It returns by what the log phase finds what is to be
// compared with their answers; 0: nothing is.
func (r *request) copy(l *live, turns split.Set) (id uint64, err error) {
	if turns == 0 {
		return 0, nil
	}
	service, err := r.askService()
	if err != nil {
		return 0, err
	}
	if turns = r.admitted(l, turns, service); turns == 0 {
		return 0, nil
	}
	o, err := r.askOriginal()
	if err != nil {
		return 0, err
	}
	o.service = service
	if r.plugin.Outcomes {
		o.compared = new(comparison)
	}
	sent := false
	for ; turns != 0; turns &= turns - 1 {
		s := &l.shadows[first(turns)]
		drop, reason, err := r.copyTo(s, o)
		if err != nil {
			return 0, err
		}
		if drop != "" {
			s.tally.dropped(drop, reason, r.now, s.log)
		}
		sent = sent || drop == ""
	}
	if o.compared == nil || !sent {
		return 0, nil
	}
	return r.plugin.comparisons.add(o.compared), nil
}

// admitted returns those of the shadows that would take a copy now: for the others, Kong is
// asked for nothing.
func (r *request) admitted(l *live, turns split.Set, to service) (admitted split.Set) {
	for ; turns != 0; turns &= turns - 1 {
		i := first(turns)
		s := &l.shadows[i]
		drop := isGRPC
		if !to.IsGRPC() {
			drop = r.plugin.Mirrors.Admit(s.target(to.Protocol), r.now)
		}
		if drop == "" {
			admitted = admitted.With(i)
		} else {
			s.tally.dropped(drop, nil, r.now, s.log)
		}
	}
	return admitted
}

// first returns the lowest index in a set, which must not be empty.
func first(s split.Set) int { return bits.TrailingZeros64(uint64(s)) }

// copyTo sends a copy of a request to a shadow, or returns why not, and where that is not the
// request's business, what is wrong.
func (r *request) copyTo(s *shadow, o *original) (drop mirror.Drop, reason, err error) {
	switch {
	case o.bar != "":
		return o.bar, nil, nil
	case o.length > int64(s.MaxBody):
		return bodyTooLong, nil, nil
	}
	c := &mirror.Copy{Target: s.target(o.service.Protocol), Method: o.method}
	if c.Host, err = r.hostOfCopy(s, o); err != nil {
		return "", nil, err
	}
	if drop, reason, err = r.setPathOfCopy(c, s, o); drop != "" || err != nil {
		return drop, reason, err
	}
	if o.length > 0 {
		if drop, reason, err = r.setBody(c, o); drop != "" || err != nil {
			return drop, reason, err
		}
	}
	c.Header = maps.Clone(o.header)
	for i := range s.headers {
		changeHeaders(c.Header, &s.headers[i])
	}
	c.Done = func(result mirror.Result) { s.tally.ended(result, o.compared, time.Now(), s.log) }
	return r.plugin.Mirrors.Send(c), nil, nil
}

// hostOfCopy is the Host header of a copy: the one that the shadow would receive from Kong as
// a backend.
func (r *request) hostOfCopy(s *shadow, o *original) (string, error) {
	b := &s.backend
	if b.HostHeader != "" && b.HostHeader != "preserve" {
		return b.HostHeader, nil
	}
	rt, err := r.askRoute()
	if err != nil {
		return "", err
	}
	if hosts := o.header["host"]; len(hosts) > 0 && (b.HostHeader == "preserve" || rt.preserveHost) {
		return hosts[0], nil
	}
	return b.Authority(s.target(o.service.Protocol).Protocol), nil
}

// setPathOfCopy gives a copy the path that the shadow would get from Kong as a backend, and
// the query.
func (r *request) setPathOfCopy(c *mirror.Copy, s *shadow, o *original) (drop mirror.Drop, reason, err error) {
	if wrong, err := r.impossible(&s.backend); wrong != nil || err != nil {
		return noPath, wrong, err
	}
	if c.URI, err = r.pathFor(&s.backend); err != nil {
		return "", nil, err
	}
	if c.URI == "" {
		c.URI = o.uri
	}
	if o.query != "" {
		c.URI += "?" + o.query
	}
	return "", nil, nil
}

// changeHeaders changes the header of a copy as Kong does that of a request. To nginx, names
// that differ in _ and - alone are one: what is removed is so by either.
func changeHeaders(header map[string][]string, h *config.RequestHeaders) {
	dashed := func(name string) string { return strings.ReplaceAll(strings.ToLower(name), "_", "-") }
	remove := func(name string) {
		maps.DeleteFunc(header, func(sent string, _ []string) bool { return dashed(sent) == dashed(name) })
	}
	for name, value := range h.Set {
		remove(name)
		header[strings.ToLower(name)] = []string{value}
	}
	for _, name := range h.Remove {
		remove(name)
	}
	for name, value := range h.Add {
		name = strings.ToLower(name)
		header[name] = append(slices.Clone(header[name]), value)
	}
}
