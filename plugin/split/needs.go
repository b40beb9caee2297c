package split

import (
	"slices"
	"strings"
)

// Needs returns the facts that decisions of the split depend on, besides the time,
// the random bits and what is known of its backends.
func (s *Split) Needs() Needs {
	var n Needs
	if s.ForceHeader != "" {
		n.header(s.ForceHeader)
	}
	for i := range s.Rules {
		n.match(&s.Rules[i].Match)
	}
	if s.Session != nil {
		n.Cookies, n.Method = true, true
		n.OptionsHeaders = []string{originHeader, preflightHeader}
		n.HTTPS = s.Session.Secure == SecureAuto
	}
	for _, k := range s.HashOn {
		n.key(k)
	}
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

func (n *Needs) key(k Key) {
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

func (n *Needs) header(name string) {
	if !slices.ContainsFunc(n.Headers, func(other string) bool { return strings.EqualFold(other, name) }) {
		n.Headers = append(n.Headers, name)
	}
}
