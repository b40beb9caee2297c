package split

import (
	"slices"
	"strings"
)

// Needs returns the facts that a decision of the split depends on, besides the time, the
// random bits and the condition of its backends: n for every decision, and more only if
// no session decides, nor what comes before one.
func (s *Split) Needs() (n, more Needs) {
	if s.ForceHeader != "" {
		n.header(s.ForceHeader)
	}
	for i := range s.Rules {
		n.match(&s.Rules[i].Match)
		n.match(&s.Rules[i].Not)
	}
	more.Credential = slices.ContainsFunc(s.HashOn, func(k Key) bool { return k.On == OnConsumer })
	if s.Session == nil {
		n.keys(s.HashOn)
		return n, more
	}
	n.Cookies = true
	more.Preflight = true
	more.HTTPS = s.Session.Secure == SecureAuto
	more.keys(s.HashOn)
	return n, more.without(&n)
}

// without returns the needs of n that other does not have.
func (n Needs) without(other *Needs) Needs {
	n.Headers = slices.DeleteFunc(n.Headers, other.hasHeader)
	n.Method = n.Method && !other.Method
	n.Path = n.Path && !other.Path
	n.Query = n.Query && !other.Query
	n.Cookies = n.Cookies && !other.Cookies
	n.Captures = n.Captures && !other.Captures
	n.IP = n.IP && !other.IP
	n.Consumer = n.Consumer && !other.Consumer
	n.HTTPS = n.HTTPS && !other.HTTPS
	return n
}

func (n *Needs) match(m *Match) {
	for _, p := range m.Headers {
		n.header(p.Name)
	}
	n.Method = n.Method || len(m.Methods) > 0
	n.Path = n.Path || m.PathPrefix != ""
	n.Query = n.Query || len(m.QueryArgs) > 0
	n.Cookies = n.Cookies || len(m.Cookies) > 0
	n.IP = n.IP || len(m.ClientIPs) > 0
	n.Consumer = n.Consumer || len(m.Consumers) > 0
}

func (n *Needs) keys(keys []Key) {
	for _, k := range keys {
		switch k.On {
		case OnConsumer:
			n.Consumer = true
		case OnIP:
			n.IP = true
		case OnHeader:
			n.header(k.Name)
		case OnCookie:
			n.Cookies = true
		case OnPath:
			n.Path = true
		case OnQueryArg:
			n.Query = true
		case OnURICapture:
			n.Captures = true
		}
	}
}

func (n *Needs) header(name string) {
	if !n.hasHeader(name) {
		n.Headers = append(n.Headers, name)
	}
}

func (n *Needs) hasHeader(name string) bool {
	return slices.ContainsFunc(n.Headers, func(other string) bool { return strings.EqualFold(other, name) })
}
