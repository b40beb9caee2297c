package config

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A Route is the part of a Kong route on which it depends what of a path it matches.
type Route struct {
	StripPath bool
	paths     []routePath // in the order in which Kong tries them
	unknown   string      // why it is not known what it matches; empty: it is
}

// routePath is a prefix, or a regular expression that matches the beginning.
type routePath struct {
	prefix     string
	expression *regexp.Regexp // nil: it is a prefix
}

// NewRoute returns the route with that strip_path, those paths and that expression of
// Kong's router, which one without paths may have.
func NewRoute(stripPath bool, paths []string, expression string) Route {
	r := Route{StripPath: stripPath}
	if expression != "" {
		r.unknown = "has an expression"
	}
	for _, path := range paths {
		text, isExpression := strings.CutPrefix(path, "~")
		if !isExpression {
			r.paths = append(r.paths, routePath{prefix: path})
			continue
		}
		compiled, err := regexp.Compile("^" + text)
		if err != nil {
			r.unknown = fmt.Sprintf("has the path %s, which the plugin cannot evaluate", quote(path))
		}
		r.paths = append(r.paths, routePath{expression: compiled})
	}
	slices.SortStableFunc(r.paths, func(a, b routePath) int {
		if (a.expression == nil) != (b.expression == nil) {
			return cmp.Compare(len(a.prefix), len(b.prefix)) // an expression has none
		}
		return cmp.Compare(len(b.prefix), len(a.prefix))
	})
	return r
}

// Refuse returns an error if it is not known what a backend asks for.
func (r *Route) Refuse(b *Backend) error {
	if r.StripPath || r.unknown == "" {
		return nil
	}
	switch {
	case b.Redirect != nil && b.Redirect.ReplacePrefix != "":
		return fmt.Errorf("backend %q: redirect.replace_prefix %s: the route %s, and with strip_path: false Kong does not tell what that has matched: set strip_path: true", b.Name, b.Redirect.ReplacePrefix, r.unknown)
	case b.ReplacePrefix != "":
		return fmt.Errorf("backend %q: replace_prefix %s: the route %s, and with strip_path: false Kong does not tell what that has matched: set strip_path: true, and path on the backends that are to receive it", b.Name, b.ReplacePrefix, r.unknown)
	}
	return nil
}

// Known reports whether it is known what the route matches, as [Route.Rest] takes it off.
func (r *Route) Known() bool { return r.unknown == "" }

// Rest returns what a path that the route has matched has behind that; the path is
// normalised, as Kong matches it.
func (r *Route) Rest(path string) string {
	for _, p := range r.paths {
		if p.expression == nil {
			if rest, ok := strings.CutPrefix(path, p.prefix); ok {
				return withoutDots(rest)
			}
		} else if found := p.expression.FindStringIndex(path); found != nil {
			return withoutDots(path[found[1]:])
		}
	}
	return path
}

// withoutDots takes a leading . or .. off what is behind a prefix, as Kong does with
// strip_path: of /shop../admin, where the prefix is /shop, /v2/../admin would become, which
// leads out of /v2.
func withoutDots(rest string) string {
	if first, after, _ := strings.Cut(rest, "/"); first == "." || first == ".." {
		return after
	}
	return rest
}
