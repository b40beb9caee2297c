package declarative

// A Scope is what a row of a plugin is on, by ids; empty: that does not matter.
type Scope struct{ Route, Service, Consumer string }

// Scope returns what the row is on.
func (p *Plugin) Scope() Scope { return Scope{IDOf(p.Route), IDOf(p.Service), IDOf(p.Consumer)} }

// Scopes returns what a row may be on to run for requests of a consumer to a route and its
// Service, the most specific first, as in Kong's plugins_iterator.lua. Kong runs a plugin
// once, for the first row of it.
func Scopes(route, service, consumer string) [8]Scope {
	return [8]Scope{ // without a consumer or a Service, some are the same
		{route, service, consumer},
		{route, "", consumer},
		{"", service, consumer},
		{route, service, ""},
		{"", "", consumer},
		{route, "", ""},
		{"", service, ""},
		{"", "", ""},
	}
}

// IDOf returns the id that a reference has; empty: there is none.
func IDOf(r *Ref) string {
	if r == nil {
		return ""
	}
	return r.ID
}
