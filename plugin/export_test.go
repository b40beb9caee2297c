package plugin

import (
	"fmt"

	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/split"
)

// MarkFor is the mark that a request leaves which is decided for a backend now.
func (i *Instance) MarkFor(backend string) string {
	s := i.serving.Load()
	l := s.live
	if l == nil {
		l = i.plugin.file.current.Load().get(s.entry)
	}
	at := l.index(backend)
	if at < 0 {
		panic(fmt.Sprintf("there is no backend %q", backend))
	}
	return markText(l.entry, l.state.Subject(at), 0, backend)
}

// Mark is what MarkFor returns, of any subject.
func Mark(entry string, subject split.Subject, backend string) string {
	return markText(entry, subject, 0, backend)
}

// Location is where a redirect leads to, of a request of which Kong says so much.
func Location(to *config.Redirect, scheme, forwarded, host, path, query string) string {
	return (&askedURL{scheme, forwarded, host, path, query}).location(to)
}
