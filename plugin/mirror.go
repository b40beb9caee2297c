package plugin

import (
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
	bodyUnbounded  mirror.Drop = "body_unbounded"   // it does not say how long its body is
	bodyTooLong    mirror.Drop = "body_too_long"    // longer than max_body
	bodyUnbuffered mirror.Drop = "body_unbuffered"  // to read it would delay the request, as the route does not buffer it
	bodyUnreadable mirror.Drop = "body_unreadable"  // it is in a file that cannot be opened
	noPath         mirror.Drop = "path_unavailable" // the shadow has a path that Kong cannot be told
)

// uncopied are all reasons, in the order of the metrics' documentation.
var uncopied = [...]mirror.Drop{
	isCopy, isGRPC, isWebSocket, bodyUnbounded, bodyTooLong, bodyUnbuffered, bodyUnreadable, noPath,
	mirror.Invalid, mirror.QueueFull, mirror.MemoryFull, mirror.ShadowDown, mirror.Closed,
}

// isOfRequest has the reasons that lie in a request, and not in a shadow or a config.
var isOfRequest = map[mirror.Drop]bool{
	isCopy: true, isWebSocket: true, mirror.Invalid: true, bodyUnbounded: true, bodyTooLong: true, bodyUnbuffered: true,
}

// shadow is one that gets copies of a split's requests.
type shadow struct {
	config.Mirror
	backend config.Backend // where they go
	headers [2]config.RequestHeaders
	tally   *copyTally
}

// newShadows returns those of a config, whose tallies go on from those of the revision before;
// nil: there is none.
func newShadows(c *config.Config, before *live) []shadow {
	if len(c.Mirror) == 0 {
		return nil
	}
	all := make([]shadow, len(c.Mirror))
	for i, m := range c.Mirror {
		b := c.Shadow(i)
		all[i] = shadow{Mirror: m, backend: b, headers: [...]config.RequestHeaders{b.RequestHeaders, m.RequestHeaders}}
		if before != nil {
			j := slices.IndexFunc(before.shadows, func(s shadow) bool { return s.Name() == m.Name() })
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

// target returns where copies go behind a Service of that protocol.
func (s *shadow) target(serviceProtocol string) mirror.Target {
	t := mirror.Target{Protocol: s.backend.Protocol, Host: s.backend.Host, Port: s.backend.Port}
	if t.Protocol == "" {
		t.Protocol = serviceProtocol
	}
	return t
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
	// What would be dropped is not asked for.
	admitted := turns
	for left := turns; left != 0; left &= left - 1 {
		i := bits.TrailingZeros64(uint64(left))
		s := &l.shadows[i]
		drop := isGRPC
		if !service.IsGRPC() {
			drop = r.plugin.Mirrors.Admit(s.target(service.Protocol), r.now)
		}
		if drop != "" {
			r.drop(l, s, drop, nil)
			admitted &^= split.Set(0).With(i)
		}
	}
	if admitted == 0 {
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
	for ; admitted != 0; admitted &= admitted - 1 {
		s := &l.shadows[bits.TrailingZeros64(uint64(admitted))]
		drop, reason, err := r.copyTo(l, s, o)
		if err != nil {
			return 0, err
		}
		if drop != "" {
			r.drop(l, s, drop, reason)
		}
		sent = sent || drop == ""
	}
	if o.compared == nil || !sent {
		return 0, nil
	}
	return r.plugin.comparisons.add(o.compared), nil
}

// drop counts a request that is not copied.
func (r *request) drop(l *live, s *shadow, drop mirror.Drop, reason error) {
	s.tally.dropped(drop, reason, r.now, r.plugin.Log.With("split", l.split.Identity, "shadow", s.Name()))
}

// copyTo sends a copy of a request to a shadow, or returns why not, and where that is not the
// request's business, what is wrong.
func (r *request) copyTo(l *live, s *shadow, o *original) (drop mirror.Drop, reason, err error) {
	if drop := o.bars(s); drop != "" {
		return drop, nil, nil
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
	log := r.plugin.Log.With("split", l.split.Identity, "shadow", s.Name())
	c.Done = func(result mirror.Result) { s.tally.ended(result, o.compared, time.Now(), log) }
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
