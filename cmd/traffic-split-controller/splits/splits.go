// Package splits owns what becomes of the cluster's routes: which Kong routes Kong's
// ingress controller makes of them, which of those have the plugin, and the split of each.
// The conversion itself is that of package httproute.
package splits

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kong-traffic-split/cmd/traffic-split-controller/cluster"
	"kong-traffic-split/kong/httproute"
	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/file"
)

// Options say how routes become splits.
type Options struct {
	Expressions   bool   // Kong's router_flavor is expressions, for which routes have other names
	IngressClass  string // of Kong's ingress controller; empty: kong
	ClusterDomain string // of the Services' names, such as cluster.local
	SessionSecret string // signs the cookies of sessionPersistence; empty: it is refused
	Outcomes      bool   // the plugin server has -outcomes
}

// A Route is what has become of an HTTPRoute or GRPCRoute.
type Route struct {
	Object   *unstructured.Unstructured
	Names    []string              // of Kong routes that have the plugin
	Splits   map[string]*yaml.Node // of these names; nil if the route is Wrong
	Wrong    bool                  // nothing of it can be used
	Problems []string              // what cannot be done, or not as the route says
}

// A Maker makes the splits of routes. What has not changed is not converted again. It must
// not be used at the same time.
type Maker struct {
	options Options
	made    map[[sha256.Size]byte]Route
}

// NewMaker returns a Maker.
func NewMaker(o Options) *Maker { return &Maker{options: o} }

// Routes returns what becomes of those routes of the cluster that have the plugin, by
// kind, namespace and name.
func (m *Maker) Routes(objects Objects) []Route {
	objects = ofClass{objects, cmp.Or(m.options.IngressClass, "kong")}
	var all []Route
	made := make(map[[sha256.Size]byte]Route, len(m.made))
	for _, kind := range []string{cluster.HTTPRoute, cluster.GRPCRoute} {
		for _, r := range objects.List(kind) {
			in := gather(objects, r)
			if len(in.plugins) == 0 {
				continue
			}
			key := in.key()
			route, ok := m.made[key]
			if !ok {
				route = m.route(in)
			}
			made[key] = route
			route.Object = r
			all = append(all, route)
		}
	}
	m.made = made
	slices.SortFunc(all, func(a, b Route) int {
		return cmp.Or(cmp.Compare(a.Object.GetKind(), b.Object.GetKind()), cmp.Compare(a.Object.GetNamespace(), b.Object.GetNamespace()), cmp.Compare(a.Object.GetName(), b.Object.GetName()))
	})
	return all
}

// route converts a route, once for each plugin that rules of it have.
func (m *Maker) route(in input) Route {
	out := Route{Splits: map[string]*yaml.Node{}, Problems: in.problems}
	for i, rule := range rulesOf(in.route) {
		for j, filter := range mapsOf(rule["filters"]) {
			if filter["type"] == "RequestMirror" {
				out.report(fmt.Sprintf("%s %s: spec.rules[%d].filters[%d]: Kong's ingress controller refuses the route with a RequestMirror of a rule: use mirror in the config of the KongPlugin", in.route.GetKind(), nameOf(in.route), i, j))
			}
		}
	}
	for i, p := range in.plugins {
		if field := inline(p); field != "" {
			out.report(fmt.Sprintf("%s %s: %s: the plugin takes its backends from here, so that weights of the %s mean nothing: leave it out", p.GetKind(), nameOf(p), field, in.route.GetKind()))
			continue
		}
		names := in.names(i, m.options.Expressions)
		splits, failed := m.convert(in, p, &out)
		for name, aliases := range names {
			split := splits[name]
			if split == nil && !failed {
				continue // a redirect
			}
			out.Names = append(out.Names, aliases...)
			for _, alias := range aliases {
				out.Splits[alias] = split
			}
		}
		out.Wrong = out.Wrong || failed
	}
	slices.Sort(out.Names)
	if out.Wrong {
		out.Splits = nil
	}
	return out
}

func (r *Route) report(problem string) {
	if !slices.Contains(r.Problems, problem) {
		r.Problems = append(r.Problems, problem)
	}
}

// convert converts a route with one plugin for all of its rules. It returns the splits by
// the names that httproute gives them.
func (m *Maker) convert(in input, plugin *unstructured.Unstructured, out *Route) (splits map[string]*yaml.Node, failed bool) {
	data, err := json.Marshal(in.list(plugin))
	if err != nil {
		out.report(err.Error())
		return nil, true
	}
	flavor := ""
	if m.options.Expressions {
		flavor = httproute.Expressions
	}
	converted, problems := httproute.Convert([]httproute.Source{{Name: "cluster", Data: data}}, httproute.Options{
		To: httproute.KIC, SplitsOnly: true, Flavor: flavor, Partial: true, Strict: true,
		ClusterDomain: m.options.ClusterDomain, SessionSecret: m.options.SessionSecret,
	})
	refused := false // by the plugin, which is told already
	for _, p := range problems {
		out.report(shown(p))
		refused = refused || strings.HasPrefix(p.Message, httproute.RefusedByPlugin)
	}
	if converted == nil {
		return nil, true
	}
	var options []config.Option
	if !m.options.Outcomes {
		options = append(options, config.WithoutOutcomes)
	}
	// One split that the plugin server refuses would keep it from all others.
	if err := Check(converted.Splits, options...); err != nil {
		if refused {
			return nil, true
		}
		for line := range strings.Lines(err.Error()) {
			out.report(strings.TrimSpace(line))
		}
		return nil, true
	}
	splits, err = Parse(converted.Splits)
	if err != nil {
		out.report(err.Error())
		return nil, true
	}
	return splits, false
}

// Check checks a split file as the plugin server does. The error has a line for each
// problem, without line and column in a text that nobody sees.
func Check(content []byte, options ...config.Option) error {
	tree, problem := file.Parse(string(content))
	if problem != nil {
		return errors.New(problem.String())
	}
	var all []error
	_, problems := config.DecodeFile(tree, options...)
	for _, p := range problems {
		all = append(all, fmt.Errorf("%s: %s", p.Path, p.Message))
	}
	return errors.Join(all...)
}

// Parse returns the entries of a split file. It does not check them.
func Parse(content []byte) (map[string]*yaml.Node, error) {
	var parsed struct {
		Splits map[string]yaml.Node `yaml:"splits"` // pointers to nodes yaml.v3 leaves empty
	}
	if err := yaml.Unmarshal(content, &parsed); err != nil {
		return nil, err
	}
	all := make(map[string]*yaml.Node, len(parsed.Splits))
	for name, n := range parsed.Splits {
		plain(&n)
		all[name] = &n
	}
	return all, nil
}

// plain takes the style out of a node, so that it is written like all others.
func plain(n *yaml.Node) {
	if n.Kind != yaml.ScalarNode {
		n.Style = 0
	}
	for _, child := range n.Content {
		plain(child)
	}
}

// shown is a problem without line and column, which an object of the cluster does not have.
func shown(p httproute.Problem) string {
	text := p.Message
	if p.Path != "" {
		text = p.Path + ": " + text
	}
	if p.Object != "" {
		text = p.Object + ": " + text
	}
	return text
}

func nameOf(object *unstructured.Unstructured) string {
	if namespace := object.GetNamespace(); namespace != "" {
		return namespace + "/" + object.GetName()
	}
	return object.GetName()
}
