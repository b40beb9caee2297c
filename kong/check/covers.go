package check

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"kong-traffic-split/plugin/config"
)

// covers reports whether a match holds whenever another one does, as far as can be told by
// each condition for itself.
func (u *use) covers(m, other *config.Match) bool {
	return (m.PathPrefix == "" || u.anyPath(m.PathPrefix) || prefixWithin(other.PathPrefix, m.PathPrefix)) &&
		(len(m.Methods) == 0 || u.anyMethod(m.Methods) || within(other.Methods, m.Methods)) &&
		(len(m.Consumers) == 0 || within(other.Consumers, m.Consumers)) &&
		(len(m.ClientIPs) == 0 || anyAddress(m.ClientIPs) || networksWithin(other.ClientIPs, m.ClientIPs)) &&
		namedWithin(other.Headers, m.Headers, true) &&
		namedWithin(other.Cookies, m.Cookies, false) &&
		namedWithin(other.QueryArgs, m.QueryArgs, false) &&
		excludesWithin(m.Not, other.Not)
}

// excludesWithin reports whether what one not excludes, another one does, too.
func excludesWithin(not, other *config.Conditions) bool {
	if not == nil || other == nil {
		return not == nil
	}
	return (not.PathPrefix == "" || prefixWithin(not.PathPrefix, other.PathPrefix)) &&
		(len(not.Methods) == 0 || within(not.Methods, other.Methods)) &&
		(len(not.Consumers) == 0 || within(not.Consumers, other.Consumers)) &&
		(len(not.ClientIPs) == 0 || networksWithin(not.ClientIPs, other.ClientIPs)) &&
		allNamedWithin(not.Headers, other.Headers, true) &&
		allNamedWithin(not.Cookies, other.Cookies, false) &&
		allNamedWithin(not.QueryArgs, other.QueryArgs, false)
}

// prefixWithin reports whether paths with a prefix have another one as well.
func prefixWithin(prefix, of string) bool {
	of = config.NormalPath(of)
	return of != "" && strings.HasPrefix(config.NormalPath(prefix), of)
}

// networksWithin reports whether there are networks, all of which are in others.
func networksWithin(networks, others []string) bool {
	return len(networks) > 0 && !slices.ContainsFunc(networks, func(inner string) bool {
		n, ok := network(inner)
		return !ok || !slices.ContainsFunc(others, func(outer string) bool {
			o, ok := network(outer)
			return ok && o.Bits() <= n.Bits() && o.Contains(n.Addr())
		})
	})
}

// network parses an address or a network.
func network(text string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(text)
	return p, err == nil
}

// namedWithin reports whether for each name of others, values has it, and no more under it.
func namedWithin(values, others map[string][]string, anyCase bool) bool {
	for name, outer := range others {
		if !slices.ContainsFunc(namesLike(values, name, anyCase), func(n string) bool { return valuesWithin(values[n], outer) }) {
			return false
		}
	}
	return true
}

// allNamedWithin reports whether for each name of values, others has it, with all that is
// under it.
func allNamedWithin(values, others map[string][]string, anyCase bool) bool {
	for name, inner := range values {
		if !slices.ContainsFunc(namesLike(others, name, anyCase), func(n string) bool { return valuesWithin(inner, others[n]) }) {
			return false
		}
	}
	return true
}

// namesLike returns the names that are one, perhaps in other letters.
func namesLike(all map[string][]string, name string, anyCase bool) (names []string) {
	for n := range all {
		if n == name || anyCase && strings.EqualFold(n, name) {
			names = append(names, n)
		}
	}
	return names
}

// valuesWithin reports whether whatever is one of some values, exact ones and expressions
// behind ~, is one of others.
func valuesWithin(values, others []string) bool {
	return slices.Contains(others, "~") || len(values) > 0 && !slices.ContainsFunc(values, func(v string) bool {
		return !slices.Contains(others, v) && (strings.HasPrefix(v, "~") || !slices.ContainsFunc(others, func(o string) bool {
			text, isRegexp := strings.CutPrefix(o, "~")
			re, err := regexp.Compile(text)
			return isRegexp && err == nil && re.MatchString(v)
		}))
	})
}
