package config

import (
	"slices"
	"strings"
)

// relation reports fields of a record that do not go together.
func (r *reader) relation(f *field, c *check, n *Node, path string) {
	switch {
	case c.onlyOneOf != nil:
		if set := setOf(n, c.onlyOneOf); len(set) == 0 {
			r.report(n, path, "has none of %s; it needs one", strings.Join(c.onlyOneOf, ", "))
		} else if len(set) > 1 {
			r.report(n, path, "has %s; keep one of them", strings.Join(set, " and "))
		}
	case c.atLeastOneOf != nil:
		if len(setOf(n, c.atLeastOneOf)) == 0 {
			r.report(n, path, "has none of %s; it needs one", strings.Join(c.atLeastOneOf, ", "))
		}
	case c.mutuallyExclusive != nil:
		if set := setOf(n, c.mutuallyExclusive); len(set) > 1 {
			r.report(n, path, "has %s; keep one of them", strings.Join(set, " and "))
		}
	case c.distinct != nil:
		first, second := n.Get(c.distinct[0]), n.Get(c.distinct[1])
		if n.set(c.distinct[0]) && n.set(c.distinct[1]) && first.Kind == String && second.Kind == String && first.Text == second.Text {
			r.report(second, Join(path, c.distinct[1]), "%s", c.message)
		}
	case c.applies(f, n):
		r.consequence(c, n, path)
	}
}

// applies says whether the condition of a check holds.
func (c *check) applies(f *field, n *Node) bool {
	switch v := n.Get(c.ifField); {
	case c.ifMatch != nil:
		return n.set(c.ifField) && v.Kind == String && c.ifMatch.MatchString(v.Text)
	case c.ifEquals == "":
		return n.set(c.ifField)
	case v == nil || v.Kind == Null:
		return f.field(c.ifField).def == c.ifEquals
	default:
		return v.Kind == String && v.Text == c.ifEquals
	}
}

// consequence reports a field that is not as the condition of a check, which
// holds, wants it.
func (r *reader) consequence(c *check, n *Node, path string) {
	at := n.Get(c.thenField)
	there := at != nil && at.Kind != Null
	var wrong bool
	switch {
	case c.thenAbsent:
		wrong = there
	case c.thenOneOf != nil:
		wrong = there && at.Kind == String && !slices.Contains(c.thenOneOf, at.Text)
	default:
		at, wrong = n, !n.set(c.thenField)
	}
	if wrong {
		r.report(at, Join(path, c.thenField), "%s", c.message)
	}
}

// setOf are those of the fields that are set.
func setOf(n *Node, fields []string) []string {
	var set []string
	for _, name := range fields {
		if n.set(name) {
			set = append(set, name)
		}
	}
	return set
}
