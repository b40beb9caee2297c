package config

import (
	"slices"
	"strconv"
	"strings"

	"kong-traffic-split/plugin/split"
)

// Mirror is a shadow that gets copies of requests: a backend of the split, or a host.
type Mirror struct {
	Backend        string // a backend's name; empty: it is a host of its own
	Host           string
	Port           int
	Protocol       string    // http or https; empty: the Service's
	HostHeader     string    // preserve or a literal; empty: as Kong does for a Service
	Sources        []string  // names of the backends whose requests are copied; none: of all but the shadow
	Percent        *float64  // of these requests, with two decimals at most; nil: all, where there is no Fraction
	Fraction       *Fraction // of these requests; nil: see Percent
	RequestHeaders RequestHeaders
	MaxBody        int // in bytes
}

// A Fraction is a part of the requests that percents may not meet.
type Fraction struct{ Numerator, Denominator int }

// Part returns that part of whole requests are copied.
func (m *Mirror) Part() (part, whole int) {
	switch {
	case m.Fraction != nil:
		return m.Fraction.Numerator, m.Fraction.Denominator
	case m.Percent != nil:
		return hundredths(*m.Percent), 100 * 100
	}
	return 1, 1
}

// Name is what logs and metrics call the shadow: the backend's name, or host:port.
func (m *Mirror) Name() string {
	if m.Backend != "" {
		return m.Backend
	}
	return m.asBackend().defaultName()
}

func (m *Mirror) asBackend() *Backend {
	return &Backend{Host: m.Host, Port: m.Port, Protocol: m.Protocol, HostHeader: m.HostHeader}
}

// Shadow returns where the copies of the mirror at index i go, as a backend with the headers
// that it receives before those of the mirror.
func (c *Config) Shadow(i int) Backend {
	m := &c.Mirror[i]
	if j := c.index(m.Backend); j >= 0 {
		return c.Backends[j]
	}
	b := m.asBackend()
	b.Name = m.Name()
	return *b
}

func (m *Mirror) compile(c *Config) split.Mirror {
	var sources split.Set
	for i := range c.Backends {
		if name := c.Backends[i].Name; name != m.Backend && (len(m.Sources) == 0 || slices.Contains(m.Sources, name)) {
			sources = sources.With(i)
		}
	}
	part, whole := m.Part()
	return split.Mirror{Name: m.Name(), Sources: sources, Part: part, Whole: whole}
}

// finishShadow fills in the derived default of the port, and compares headers.
func finishShadow(r *reader, n *Node, path string, to any) {
	m := to.(*Mirror)
	if m.Host != "" && !n.set("port") {
		m.Port = defaultPort(m.Protocol)
	}
	if headers := n.Get("request_headers"); headers != nil {
		r.finishHeaders(headers, Join(path, "request_headers"))
	}
}

// finishFraction compares the two numbers.
func finishFraction(r *reader, n *Node, path string, to any) {
	if f := to.(*Fraction); f.Numerator > f.Denominator {
		r.report(n.orItself("numerator"), Join(path, "numerator"), "%d is more than the denominator, %d: no request is copied twice", f.Numerator, f.Denominator)
	}
}

// finishHeaders compares the names of request headers.
func (r *reader) finishHeaders(headers *Node, path string) {
	r.sameHeader(headers.Get("set"), Join(path, "set"))
	r.sameHeader(headers.Get("add"), Join(path, "add"))
	r.setAndRemoved(headers, path, "what the client sent")
}

// finishMirrors checks what the mirrors say about the backends, whose names are right, and
// that no two go to the same place: a shadow has one percent, and one name in metrics.
func (r *reader) finishMirrors(c *Config, n *Node, path string) {
	first := map[string]int{} // by name, and by place
	for i := range c.Mirror {
		m, at, path := &c.Mirror[i], n.Get("mirror").Items[i], Join(path, "mirror")+"["+strconv.Itoa(i)+"]"
		if (m.Backend == "") == (m.Host == "") || m.Name() == "" { // wrong, and reported
			continue
		}
		if wrong := c.wrongShadow(m.Backend); wrong != "" {
			r.report(at.Get("backend"), Join(path, "backend"), "%s", wrong)
			continue
		}
		r.checkSources(c, m, at, path)
		shadow := c.Shadow(i)
		place := strings.Join([]string{"", shadow.destination(), shadow.Path, shadow.ReplacePrefix, shadow.ReplacePath}, " ")
		earlier, twice := first[m.Name()]
		if !twice {
			earlier, twice = first[place]
		}
		if twice {
			r.report(at, path, "is the same shadow as mirror[%d]; keep one", earlier)
			continue
		}
		first[m.Name()], first[place] = i, i
	}
}

// checkSources checks the backends whose requests a mirror has copied.
func (r *reader) checkSources(c *Config, m *Mirror, n *Node, path string) {
	for i, name := range m.Sources {
		at, path := n.Get("sources").Items[i], Join(path, "sources")+"["+strconv.Itoa(i)+"]"
		switch first := slices.Index(m.Sources, name); {
		case name == "": // wrong, and reported
		case c.index(name) < 0:
			r.report(at, path, "%s", c.unknown(name))
		case name == m.Backend:
			r.report(at, path, "%s is the shadow itself, which has its own requests already; leave it out", quote(name))
		case first < i:
			r.report(at, path, "%s is sources[%d] already; keep one", quote(name), first)
		}
	}
}

// wrongShadow returns what is wrong with the name of a backend that is to get copies; empty:
// nothing.
func (c *Config) wrongShadow(name string) string {
	i := c.index(name)
	switch {
	case i < 0:
		return c.unknown(name)
	case c.Backends[i].Host == "":
		return quote(name) + " is no host, and copies do not go through Kong: give its host and port here"
	case len(c.Backends) == 1:
		return quote(name) + " gets all requests anyway, and is not to get each twice; name another"
	}
	return ""
}
