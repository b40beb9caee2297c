package config

import (
	"strconv"
	"strings"
)

// finishBackend derives the defaults of a backend and compares its headers.
func finishBackend(r *reader, n *Node, path string, to any) {
	b := to.(*Backend)
	if b.Host != "" && !n.set("port") {
		b.Port = 80
		if b.Protocol == "https" {
			b.Port = 443
		}
	}
	if !n.set("name") {
		b.Name = b.defaultName()
	}
	if headers := n.Get("request_headers"); headers != nil {
		at := Join(path, "request_headers")
		r.sameHeader(headers.Get("set"), Join(at, "set"))
		r.sameHeader(headers.Get("add"), Join(at, "add"))
		r.setAndRemoved(headers, at)
	}
	if headers := n.Get("response_headers"); headers != nil {
		r.sameHeader(headers.Get("add"), Join(Join(path, "response_headers"), "add"))
	}
}

// defaultName is the name of a backend that was given none; empty where what it
// is made of is wrong.
func (b *Backend) defaultName() string {
	switch {
	case b.Service:
		return "service"
	case b.Upstream != "":
		return b.Upstream
	case b.Host == "" || b.Port == 0:
		return ""
	case strings.Contains(b.Host, ":"):
		return "[" + b.Host + "]:" + strconv.Itoa(b.Port)
	}
	return b.Host + ":" + strconv.Itoa(b.Port)
}

// sameHeader reports keys that are the same header in other letters: which one
// counts would be chance.
func (r *reader) sameHeader(n *Node, path string) {
	if n == nil {
		return
	}
	first := map[string]string{}
	for _, m := range n.Members {
		name := strings.ToLower(m.Key)
		if earlier, twice := first[name]; twice && earlier != m.Key {
			r.reportKey(m, Join(path, m.Key), "is the same header as %s; keep one", quote(earlier))
		} else if !twice {
			first[name] = m.Key
		}
	}
}

// setAndRemoved reports headers of which a request cannot say whether they are
// to be there.
func (r *reader) setAndRemoved(headers *Node, path string) {
	set, remove := headers.Get("set"), headers.Get("remove")
	if set == nil || remove == nil {
		return
	}
	values := map[string]bool{}
	for _, m := range set.Members {
		values[strings.ToLower(m.Key)] = true
	}
	for i, name := range remove.Items {
		if values[strings.ToLower(name.Text)] {
			r.report(name, path+".remove["+strconv.Itoa(i)+"]", "%s is set as well; set alone replaces what the client sent", quote(name.Text))
		}
	}
}

// finishActive derives the timeout of a probe, and compares its times.
func finishActive(r *reader, n *Node, path string, to any) {
	a := to.(*Active)
	if !n.set("timeout") {
		a.Timeout = min(1, a.Interval)
	}
	if a.Timeout > a.Interval {
		r.report(n.orItself("timeout"), Join(path, "timeout"), "%s s is longer than the interval, %s s; make the one shorter or the other longer", inDigits(a.Timeout), inDigits(a.Interval))
	}
}
