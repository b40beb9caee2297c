package check

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"kong-traffic-split/kong/declarative"
	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/file"
)

// PluginName is what Kong calls the plugin.
const PluginName = "traffic-split"

// Kong is a declarative file of Kong's, as far as it matters to the plugin.
type Kong struct {
	Name string // of the file
	File declarative.File

	tree      *config.Node // the file, with its places
	config    *declarative.Config
	problems  []declarative.Problem // what Kong refuses
	rows      []*Row
	routes    map[string]*declarative.Route    // by id
	services  map[string]*declarative.Service  // by id
	upstreams map[string]*declarative.Upstream // by name
	places    map[string][]any                 // of routes, services and plugin rows, by id
	origins   map[string]origin                // of what was converted from manifests: their rules
	scopes    map[string]scope                 // of all plugins, by their names
	leadTo    map[string][]*declarative.Route  // routes by the ids of their Services
	refuses   map[any]bool                     // entities, some row of which Kong refuses
	parts     []part                           // of which it was joined; nil: it is one file
	others    []*Kong                          // the files that are given with it, and not joined
}

// A Row is an enabled row of the plugin.
type Row struct {
	declarative.PluginRow
	Config *config.Config       // nil: the plugin refuses it
	Routes []*declarative.Route // for whose requests Kong runs it

	file     *Kong
	loaded   *declarative.Plugin // nil: Kong refuses it
	problems config.Problems     // why the plugin refuses it
}

// Read reads a declarative file of Kong's, or of decK's, which takes variables from the
// environment by lookup. The problem is that it is none.
func Read(name, text string, lookup func(string) (string, bool)) (*Kong, *config.Problem) {
	deck, err := declarative.ParseDeck([]byte(text), lookup)
	if err != nil {
		return nil, inLine(err)
	}
	index, problem := file.NewIndex(deck.Text)
	if problem != nil {
		return nil, problem
	}
	return newKong(name, deck.File, index)
}

// inLine returns the problem of an error that may begin with the line that it is about.
func inLine(err error) *config.Problem {
	p := &config.Problem{Message: err.Error()}
	if m := linePrefix.FindStringSubmatch(p.Message); m != nil {
		p.Line, _ = strconv.Atoi(m[1]) // digits
		p.Column, p.Message = 1, p.Message[len(m[0]):]
	}
	return p
}

var linePrefix = regexp.MustCompile(`^line ([0-9]{1,9}): `)

func newKong(name string, parsed declarative.File, index *file.Index) (*Kong, *config.Problem) {
	f, err := parsed.WithoutDeck()
	if err != nil {
		return nil, &config.Problem{Message: err.Error()}
	}
	return newKongOf(name, f, index.Locate(map[string]any(f))), nil
}

// newKongOf is newKong of a file without what only decK understands, and its tree.
func newKongOf(name string, f declarative.File, tree *config.Node) *Kong {
	examined := loaders[f.Flavor()]().Examine(f)
	k := &Kong{
		Name: name, File: f, tree: tree,
		config: examined.Config, problems: examined.Problems,
		routes: map[string]*declarative.Route{}, services: map[string]*declarative.Service{}, upstreams: map[string]*declarative.Upstream{},
		places: map[string][]any{}, leadTo: map[string][]*declarative.Route{}, refuses: map[any]bool{},
	}
	for _, p := range k.problems {
		for _, step := range p.Place {
			k.refuses[step] = true
		}
	}
	if k.config == nil {
		k.config = &declarative.Config{}
	}
	for _, r := range k.config.Routes {
		k.routes[r.ID], k.places[r.ID] = r, examined.Place("routes", r.ID)
		k.leadTo[declarative.IDOf(r.Service)] = append(k.leadTo[declarative.IDOf(r.Service)], r)
	}
	for _, s := range k.config.Services {
		k.services[s.ID], k.places[s.ID] = s, examined.Place("services", s.ID)
	}
	for _, u := range k.config.Upstreams {
		k.upstreams[u.Name] = u
	}
	loaded := map[string]*declarative.Plugin{}
	for _, p := range k.config.Plugins {
		k.places[p.ID] = examined.Place("plugins", p.ID)
		loaded[fmt.Sprint(k.places[p.ID]...)] = p
	}
	k.scopes = k.allScopes()
	for _, row := range f.PluginRows(PluginName) {
		r := &Row{PluginRow: row, file: k, loaded: loaded[fmt.Sprint(row.Place...)]}
		if node := walk(k.tree, row.Place); node != nil {
			r.Config, r.problems = decodeRow(node, row.Config)
		}
		if r.loaded != nil {
			r.Routes = k.routesOf(r.loaded)
		}
		k.rows = append(k.rows, r)
	}
	return k
}

// loaders check files for Kong's own plugins that are known, and ours.
var loaders = map[declarative.Flavor]func() *declarative.Loader{
	declarative.TraditionalCompatible: sync.OnceValue(func() *declarative.Loader { return loader(declarative.TraditionalCompatible) }),
	declarative.Expressions:           sync.OnceValue(func() *declarative.Loader { return loader(declarative.Expressions) }),
}

func loader(flavor declarative.Flavor) *declarative.Loader {
	l, err := declarative.NewLoaderFor(flavor, []string{"bundled", PluginName}, map[string]json.RawMessage{PluginName: config.KongSchema()})
	if err != nil {
		panic(err) // of schemas that are compiled in
	}
	return l
}

// decodeRow decodes the config of a row, which is at node.
func decodeRow(node *config.Node, value any, options ...config.Option) (*config.Config, config.Problems) {
	at := node.Get("config")
	if at == nil || at.Kind == config.Null { // Kong uses an empty one
		at = &config.Node{Kind: config.Map, Line: node.Line, Column: node.Column}
	}
	c, problems := config.DecodeRow(at, append(options, config.References)...)
	if problems != nil {
		return nil, problems
	}
	if text, err := json.Marshal(value); err == nil {
		if err := config.CheckLength(len(text)); err != nil {
			return nil, config.Problems{{Message: err.Error(), Line: at.Line, Column: at.Column}}
		}
	}
	return c, nil
}

// maxProblems is how many reasons of Kong's to refuse one file are told.
const maxProblems = 1000

// refused are the findings about what Kong or the plugin refuses.
func (k *Kong) refused(o Options) (all []Finding) {
	add := func(check *Check, p config.Problem) {
		all = append(all, Finding{File: k.Name, Line: p.Line, Column: p.Column, Path: p.Path, ID: check.ID, Severity: check.Severity, Message: p.Message})
	}
	configs := map[string]bool{} // places of those that the plugin refuses, whose reasons say more than Kong's
	for _, r := range k.rows {
		at := pathOf(append(slices.Clip(r.Place), "config"))
		for _, p := range r.problems {
			p.Path = join(at, p.Path)
			add(refusedByPlugin, p)
		}
		if r.problems != nil {
			configs[at] = true
		}
		if r.Config == nil {
			continue
		}
		if o.NoOutcomes {
			_, problems := decodeRow(walk(k.tree, r.Place), nil, config.WithoutOutcomes)
			for _, p := range problems {
				p.Path = join(at, p.Path)
				add(noOutcomes, p)
			}
		}
	}
	said := 0
	for _, p := range k.problems {
		if said == maxProblems {
			add(refusedByKong, config.Problem{Message: fmt.Sprintf("Kong refuses it for more than %d reasons: mend these first", maxProblems)})
			break
		}
		if i := slices.Index(p.Place, any("config")); i >= 0 && configs[pathOf(p.Place[:i+1])] {
			continue
		}
		at := problemAt(k.tree, p.Place)
		at.Message = "Kong refuses it: " + p.Message
		add(refusedByKong, at)
		said++
	}
	for _, r := range k.rows {
		k.refusedOnRoutes(r, func(check *Check, message string) {
			p := problemAt(k.tree, r.Place)
			p.Message = message
			add(check, p)
		})
	}
	return all
}

// Refused returns an error with what Kong or the plugin refuses of the file, but for rows
// of other plugins; nil: nothing. It is a [Findings].
func (k *Kong) Refused() error {
	own := *k
	own.problems = slices.DeleteFunc(slices.Clone(k.problems), func(p declarative.Problem) bool { return k.ofOther(p.Place) })
	c := checker{findings: own.refused(Options{})}
	if all := c.sorted(); len(all) > 0 {
		return Findings(all)
	}
	return nil
}

// ofOther reports whether a place is in a row of another plugin.
func (k *Kong) ofOther(place []any) bool {
	for i := len(place) - 2; i >= 0; i-- {
		if place[i] == "plugins" {
			row, _ := k.File.At(place[:i+2]...).(map[string]any)
			return row["name"] != nil && row["name"] != PluginName
		}
	}
	return false
}

// lacks reports whether Kong refuses some row of an entity, so that it may be there for all
// that is known.
func (k *Kong) lacks(entity string) bool { return k.refuses[entity] }

// Rows returns the rows of the plugin that are enabled, in the order of
// [declarative.File.PluginRows].
func (k *Kong) Rows() []*Row { return k.rows }

// Missing returns the names of a row's backends whose Upstreams the file does not have.
func (r *Row) Missing() (names []string) {
	for _, b := range r.Config.Backends {
		if b.Upstream != "" && r.file.upstreams[b.Upstream] == nil {
			names = append(names, b.Name)
		}
	}
	return names
}

// refusedOnRoutes reports why the plugin or Kong would answer every request to some route
// of a row with an error, or never run the plugin there.
func (k *Kong) refusedOnRoutes(row *Row, report func(*Check, string)) {
	if row.loaded == nil || row.Config == nil {
		return
	}
	said := map[string]bool{}
	refuse := func(check *Check, format string, args ...any) {
		if message := fmt.Sprintf(format, args...); !said[message] {
			said[message] = true
			report(check, message)
		}
	}
	if row.loaded.Route != nil {
		if r := k.routes[row.loaded.Route.ID]; r != nil && !runsOn(row.loaded, r) {
			refuse(protocolsDiffer, "its protocols, %s, are not those of the %s, %s, so that it never runs there: set the row's protocols", strings.Join(row.loaded.Protocols, ", "), nameOf(r), strings.Join(r.Protocols, ", "))
		}
	}
	needs := row.Config.NeedsHTTP()
	for _, route := range row.Routes {
		name := nameOf(route)
		if needs != "" && isStream(route.Protocols) {
			refuse(streamNeedsHTTP, noHTTP, needs, name)
		}
		s := k.services[declarative.IDOf(route.Service)]
		if route.Service != nil && s == nil {
			continue
		}
		for i := range row.Config.Backends {
			if err := cannotReachAlone(route, &row.Config.Backends[i]); err != nil && row.loaded.Route != nil {
				refuse(routeWithoutService, "%v (on the %s)", err, name)
			}
		}
		if err := cannotRetry(s, route, row.Config); err != nil {
			refuse(backendUnreachable, "%v (on the %s)", err, name)
		}
		for i := range row.Config.Backends {
			if err := cannotReach(s, route, &row.Config.Backends[i]); err != nil {
				refuse(backendUnreachable, "%v (on the %s)", err, name)
			}
		}
	}
}

// cannotReachAlone returns an error if Kong would fail to do what a backend asks for as the
// route has no Service.
func cannotReachAlone(r *declarative.Route, b *config.Backend) error {
	if r.Service != nil {
		return nil
	}
	return config.RefuseServiceless(b, r.Protocols)
}

// serviceOfPlugin is a Service as the plugin sees it; nil: the route has none.
func serviceOfPlugin(s *declarative.Service) config.Service {
	if s == nil {
		return config.NoService()
	}
	return config.NewService(s.Protocol, s.Host)
}

// cannotReach returns an error if Kong would fail to do on a route what a backend asks for.
func cannotReach(s *declarative.Service, r *declarative.Route, b *config.Backend) error {
	service := serviceOfPlugin(s)
	if err := service.Refuse(b); err != nil {
		return err
	}
	expression := ""
	if r.Expression != nil {
		expression = *r.Expression
	}
	route := config.NewRoute(r.StripPath, r.Paths, expression)
	return route.Refuse(b)
}

// cannotRetry returns an error if Kong would fail to do on a route what a retry asks for.
func cannotRetry(s *declarative.Service, r *declarative.Route, c *config.Config) error {
	service := serviceOfPlugin(s)
	return c.RefuseRetry(&service, r.PreserveHost)
}

// isStream reports whether a route with these protocols is for TCP or TLS connections.
func isStream(protocols []string) bool { return !slices.ContainsFunc(protocols, isHTTP) }

// isHTTP reports whether a protocol is one of the requests that Kong handles as HTTP.
func isHTTP(protocol string) bool {
	return strings.HasPrefix(protocol, "http") || strings.HasPrefix(protocol, "grpc") || strings.HasPrefix(protocol, "ws")
}

func nameOf(r *declarative.Route) string {
	switch {
	case r.Name != "":
	case len(r.Paths) > 0:
		return fmt.Sprintf("route without a name on %q", r.Paths[0])
	case len(r.Hosts) > 0:
		return fmt.Sprintf("route without a name on %q", r.Hosts[0])
	default:
		return "route " + r.ID
	}
	return fmt.Sprintf("route %q", r.Name)
}
