package expression

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// A Value is that of a field of a request: a string, an int64 or a netip.Addr.
type Value any

// HeaderField is what Kong's router calls a header, behind http.headers.
func HeaderField(name string) string { return strings.ToLower(strings.ReplaceAll(name, "-", "_")) }

// A Match is what the predicates of an expression have matched.
type Match struct {
	matched  map[string]string // by field, what the last of its predicates matched
	captures map[string]string // by number, from 0, and by name
}

// Matched is the part of a field that the expression has matched last, or empty.
func (m *Match) Matched(field string) string { return m.matched[field] }

// Captures are the groups of all regular expressions that have matched, by their numbers
// and by their names; 0 is the whole match.
func (m *Match) Captures() map[string]string { return m.captures }

// An Expression is one that was read and checked. It may be used by several goroutines at
// the same time.
type Expression struct {
	root   node
	fields []string
}

// Fields are the names of the fields that the expression asks for, sorted.
func (e *Expression) Fields() []string { return e.fields }

// Eval evaluates the expression. values returns the values of a field, of its type.
func (e *Expression) Eval(values func(field string) []Value) (*Match, bool) {
	m := &Match{matched: map[string]string{}, captures: map[string]string{}}
	return m, e.root.eval(values, m)
}

// A node is a predicate, or other nodes that are joined.
type node interface {
	eval(values func(string) []Value, m *Match) bool
	// outcomes are what it may come to where values need not be known.
	outcomes(values func(string) ([]Value, bool)) (holds, fails bool)
	predicates() []*predicate
}

type (
	and struct{ left, right node }
	or  struct{ left, right node }
	not struct{ inner node }
)

func (n and) eval(values func(string) []Value, m *Match) bool {
	return n.left.eval(values, m) && n.right.eval(values, m)
}

func (n or) eval(values func(string) []Value, m *Match) bool {
	return n.left.eval(values, m) || n.right.eval(values, m)
}

func (n not) eval(values func(string) []Value, m *Match) bool { return !n.inner.eval(values, m) }

func (n and) predicates() []*predicate {
	return slices.Concat(n.left.predicates(), n.right.predicates())
}

func (n or) predicates() []*predicate {
	return slices.Concat(n.left.predicates(), n.right.predicates())
}
func (n not) predicates() []*predicate { return n.inner.predicates() }

// predicate compares a field with a literal.
type predicate struct {
	field      string
	lower, any bool
	operator   string
	operand    Value // or a netip.Prefix
	regex      *regexp.Regexp
}

func (p *predicate) predicates() []*predicate { return []*predicate{p} }

func (p *predicate) eval(values func(string) []Value, m *Match) bool {
	found := values(p.field)
	for _, v := range found {
		if s, ok := v.(string); ok && p.lower {
			v = strings.ToLower(s)
		}
		holds := p.holds(v, m)
		if holds && p.any {
			return true
		}
		if !holds && !p.any {
			return false
		}
	}
	return !p.any && len(found) > 0
}

// holds compares one value, and notes what was matched.
func (p *predicate) holds(v Value, m *Match) bool {
	s, _ := v.(string)
	wanted, _ := p.operand.(string)
	switch p.operator {
	case "==":
		return v == p.operand && m.note(p.field, wanted)
	case "!=":
		return v != p.operand
	case "^=":
		return strings.HasPrefix(s, wanted) && m.note(p.field, wanted)
	case "=^":
		return strings.HasSuffix(s, wanted) && m.note(p.field, wanted)
	case "contains":
		return strings.Contains(s, wanted)
	case "~":
		return p.matches(s, m)
	case "in", "not in":
		address, _ := v.(netip.Addr)
		block, _ := p.operand.(netip.Prefix)
		return block.Contains(address) == (p.operator == "in")
	}
	n, _ := v.(int64)
	limit, _ := p.operand.(int64)
	switch p.operator {
	case ">":
		return n > limit
	case ">=":
		return n >= limit
	case "<":
		return n < limit
	}
	return n <= limit
}

func (p *predicate) matches(s string, m *Match) bool {
	groups := p.regex.FindStringSubmatchIndex(s)
	if groups == nil {
		return false
	}
	for i, name := range p.regex.SubexpNames() {
		if groups[2*i] < 0 {
			continue // the group took no part
		}
		group := s[groups[2*i]:groups[2*i+1]]
		m.captures[decimal(i)] = group
		if name != "" {
			m.captures[name] = group
		}
	}
	return m.note(p.field, s[groups[0]:groups[1]])
}

// note remembers what was matched of a field. It returns true.
func (m *Match) note(field, matched string) bool {
	m.matched[field] = matched
	return true
}
