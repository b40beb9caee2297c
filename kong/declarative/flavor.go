package declarative

import (
	"fmt"
	"slices"
	"strings"

	router "kong-traffic-split/kong/expression"
)

// A Flavor is that of Kong's router (router_flavor), on which depends what a route may
// have.
type Flavor string

// The flavors that are known here; Kong's third, traditional, is not.
const (
	TraditionalCompatible Flavor = "traditional_compatible"
	Expressions           Flavor = "expressions"
)

// ParseFlavor reads a flavor; the empty one is Kong's default.
func ParseFlavor(text string) (Flavor, error) {
	switch f := Flavor(text); f {
	case "":
		return TraditionalCompatible, nil
	case TraditionalCompatible, Expressions:
		return f, nil
	}
	return "", fmt.Errorf("router_flavor: %q is neither %s nor %s", text, TraditionalCompatible, Expressions)
}

// Flavor returns the one that the routes of a file need: that of expressions where one of
// them has an expression.
func (f File) Flavor() Flavor {
	for n := range f.nodes() {
		if n.entity == "routes" && n.row["expression"] != nil {
			return Expressions
		}
	}
	return TraditionalCompatible
}

// withExpressions returns the definitions of a route and of its variants with what they
// have in the flavor expressions.
func withExpressions(route, variants map[string]any) (map[string]any, map[string]any) {
	route, variants = cloneMap(route), cloneMap(variants)
	route["fields"] = slices.Concat(route["fields"].([]any), route["expressions"].([]any))
	for family, definition := range variants {
		variant := definition.(map[string]any)
		if family != "tcp" {
			variant["fields"] = slices.DeleteFunc(variant["fields"].([]any), func(f any) bool {
				name, _, _ := onlyPair(f)
				return name == "sources" || name == "destinations"
			})
		}
		for _, check := range variant["entity_checks"].([]any) {
			_, argument, _ := onlyPair(check)
			conditional := argument.(map[string]any)
			for _, key := range []string{"then_at_least_one_of", "else_then_at_least_one_of"} {
				if names, ok := conditional[key].([]any); ok {
					conditional[key] = append(names, "expression")
				}
			}
		}
	}
	return route, variants
}

// otherConditions are the fields of a route that say which requests it takes, beside its
// expression.
var otherConditions = []string{"snis", "sources", "destinations", "methods", "hosts", "paths", "headers"}

// routeExpression checks a route's expression, and that nothing stands beside it.
var routeExpression = entityCheck{
	reads:       append([]string{"id", "protocols", "expression", "regex_priority", "priority"}, otherConditions...),
	evenMissing: true,
	find: func(get func(string) any, _ Errors) string {
		const failed = "Router Expression failed validation: "
		const others = "'methods', 'hosts', 'paths', 'headers', 'snis', 'sources' or 'destinations' simultaneously"
		text, given := get("expression").(string)
		hasOthers := len(setFields(otherConditions, get)) > 0
		isSet := func(field string) bool {
			n, _ := get(field).(float64)
			return n != 0
		}
		switch {
		case given && hasOthers:
			return failed + "cannot set 'expression' with " + others
		case given && isSet("regex_priority"):
			return failed + "cannot set 'regex_priority' with 'expression' simultaneously"
		case hasOthers && isSet("priority"):
			return failed + "cannot set 'priority' with " + others
		case !given:
			return ""
		}
		protocols, _ := sequence(get("protocols"))
		stream := slices.ContainsFunc(protocols, func(p any) bool {
			name, _ := p.(string)
			return name == "udp" || strings.HasPrefix(name, "t")
		})
		if _, err := router.Parse(text, stream); err != nil {
			return failed + err.Error()
		}
		return ""
	},
}
