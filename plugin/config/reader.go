package config

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// reader checks nodes against fields and stores what is right in Go values. It goes on
// after a problem, to find all of them.
type reader struct {
	problems   Problems
	reported   map[about]bool // messages so far: a value that several splits inherit is reported once
	unreported map[*Node]bool // values with problems after the first maxProblems
	lua        bool           // the source is Lua: an empty table may be a list or a map, and Kong adds keys
	noOutcomes bool           // Kong does not report the outcomes of requests
	references bool           // a secret may still be a reference to a vault
	secrets    int            // how many records and strings with a secret it is in: messages show no values there

	instructions int // of all regular expressions so far
}

// maxProblems is how many problems are reported one by one.
const maxProblems = 100

// about is a message about a node.
type about struct {
	node    *Node
	message string
}

// full reports whether there are too many problems to report another one, of node n. It
// counts the node then.
func (r *reader) full(n *Node) bool {
	if len(r.problems) < maxProblems {
		return false
	}
	if r.unreported == nil {
		r.unreported = map[*Node]bool{}
	}
	r.unreported[n] = true
	return true
}

// found returns the problems, in the order of the source's lines; nil: there are none.
func (r *reader) found() Problems {
	ps := r.problems.sorted()
	if n := len(r.unreported); n > 0 {
		ps = append(ps, Problem{Message: fmt.Sprintf("… and %d more", n), More: n - 1})
	}
	return ps
}

// report adds a problem of a node.
func (r *reader) report(n *Node, path, format string, args ...any) {
	r.reportAt(n, n.Line, n.Column, path, format, args)
}

// reportKey adds a problem of the key of a member.
func (r *reader) reportKey(m Member, path, format string, args ...any) {
	r.reportAt(m.Value, m.Line, m.Column, path, format, args)
}

func (r *reader) reportAt(n *Node, line, column int, path, format string, args []any) {
	if r.full(n) {
		return
	}
	message := fmt.Sprintf(format, args...)
	this := about{n, message}
	if r.reported[this] {
		return
	}
	if r.reported == nil {
		r.reported = map[about]bool{}
	}
	r.reported[this] = true
	r.problems = append(r.problems, Problem{Path: path, Message: message, Line: line, Column: column})
}

// read checks a node, and stores what is right in to.
func (r *reader) read(f *field, n *Node, path string, to reflect.Value) {
	if f.secret {
		r.secrets++
		defer func() { r.secrets-- }()
	}
	if f.kind == kindNumber {
		if to.Kind() == reflect.Pointer { // nil where it is absent
			to.Set(reflect.New(to.Type().Elem()))
			to = to.Elem()
		}
		to.SetFloat(math.NaN()) // unless it is right: then no comparison with it holds
	}
	if n.Kind == Fault {
		r.reportFault(f, n, path)
		return
	}
	if f.outcomes && r.noOutcomes {
		r.report(n, path, "needs the outcome of requests: start the plugin server with -outcomes")
	}
	n = r.table(f, n)
	switch {
	case f.kind == kindString && n.Kind == String:
		r.readString(f, n, path, to)
	case f.kind == kindInteger && n.Kind == Number:
		r.readInteger(f, n, path, to)
	case f.kind == kindNumber && n.Kind == Number:
		r.readNumber(f, n, path, to)
	case f.onlyTrue && n.Kind == Bool && !n.Bool:
		r.report(n, path, "%s", mustBeTrue)
	case f.kind == kindBoolean && n.Kind == Bool:
		to.SetBool(n.Bool)
	case f.kind == kindArray && n.Kind == List:
		r.readArray(f, n, path, to)
	case f.kind == kindMap && n.Kind == Map:
		r.readMap(f, n, path, to)
	case f.kind == kindRecord && n.Kind == Map:
		if to.Kind() == reflect.Pointer {
			to.Set(reflect.New(to.Type().Elem()))
			to = to.Elem()
		}
		r.readRecord(f, n, path, to)
	default:
		r.report(n, path, "expected %s", r.expected(f, n))
	}
}

// reportFault reports a node that is a fault.
func (r *reader) reportFault(f *field, n *Node, path string) {
	if n.Quotes && r.secrets > 0 {
		r.report(n, path, "is not %s that can be read; a string is written in quotes", f.kind.withArticle())
		return
	}
	r.report(n, path, "%s", n.Text)
}

// expected returns what a field accepts, what it was given instead, and what to write.
// It does not show what may be a secret.
func (r *reader) expected(f *field, n *Node) string {
	given := n.describe()
	if r.secrets > 0 {
		given = n.kind()
	}
	return f.kind.withArticle() + ", not " + given + f.remedy(n)
}

// table returns the node as the field's kind if it is an empty table of Lua's, which may
// be a list or a map.
func (r *reader) table(f *field, n *Node) *Node {
	if !r.lua || len(n.Items) > 0 || len(n.Members) > 0 {
		return n
	}
	switch {
	case f.kind == kindArray && n.Kind == Map:
		return &Node{Kind: List, Line: n.Line, Column: n.Column}
	case (f.kind == kindMap || f.kind == kindRecord) && n.Kind == List:
		return &Node{Kind: Map, Line: n.Line, Column: n.Column}
	}
	return n
}

func (r *reader) readString(f *field, n *Node, path string, to reflect.Value) {
	if f.secret && n.Text == "" && r.lua {
		r.report(n, path, "is empty: so arrives a reference to a vault that Kong cannot resolve; mend the reference or the vault")
		return
	}
	wrong := f.wrong(n.Text)
	switch {
	case wrong == "", f.secret && r.references && isReference(n.Text):
		to.SetString(n.Text)
	case r.full(n):
	case n.Text == "":
		r.report(n, path, "%s", wrong)
	default:
		r.report(n, path, "%s%s", r.shown(f, n), wrong)
	}
}

// shown returns a value for the beginning of a message; empty if it is a secret, or may
// be one in a wrong place.
func (r *reader) shown(f *field, n *Node) string {
	switch {
	case f.kind == kindString && f.secret, r.secrets > 0 && len(n.Text) >= minSecret:
		return ""
	case n.Kind == String:
		return quote(n.Text) + " "
	}
	return n.describe() + " "
}

// wrong returns what is wrong with a string, to follow it in a message; empty: nothing.
func (f *field) wrong(s string) string {
	if s == "" {
		if f.empty {
			return ""
		}
		return "is an empty string; give it a value or leave it out"
	}
	if f.oneOf != nil && !slices.Contains(f.oneOf, s) {
		return fmt.Sprintf("is not one of %s%s", strings.Join(f.oneOf, ", "), suggest(s, f.oneOf))
	}
	if utf8.RuneCountInString(s) < f.min {
		return fmt.Sprintf("is too short; at least %d characters are needed", f.min)
	}
	if f.max > 0 && len(s) > f.max {
		return fmt.Sprintf("is %d bytes long; at most %d are allowed", len(s), f.max)
	}
	for _, rule := range f.none {
		if rule.pattern.MatchString(s) {
			return rule.message
		}
	}
	for _, rule := range f.match {
		if !rule.pattern.MatchString(s) {
			return rule.message
		}
	}
	if f.valid != nil {
		return f.valid(s)
	}
	return ""
}

func (r *reader) readInteger(f *field, n *Node, path string, to reflect.Value) {
	v, ok := parseDecimal(n.Text, 0)
	switch {
	case !ok && r.shown(f, n) == "":
		r.report(n, path, "expected an integer, not another number")
	case !ok:
		r.report(n, path, "expected an integer, not %s%s", n.describe(), f.fraction(n))
	case f.numbers != nil && !slices.Contains(f.numbers, v):
		r.report(n, path, "%sis not one of %s", r.shown(f, n), f.numbersInWords(", "))
	case f.numbers == nil && (v < f.min || v > f.max):
		r.report(n, path, "%sis not in %d..%d", r.shown(f, n), f.min, f.max)
	default:
		if to.Kind() == reflect.Pointer { // nil where it is absent
			to.Set(reflect.New(to.Type().Elem()))
			to = to.Elem()
		}
		to.SetInt(int64(v))
	}
}

func (r *reader) readNumber(f *field, n *Node, path string, to reflect.Value) {
	units, ok := parseDecimal(n.Text, f.decimals)
	v := float64(units) / math.Pow10(f.decimals)
	switch {
	case !ok:
		r.report(n, path, "%shas more than %d decimals", r.shown(f, n), f.decimals)
	case v < f.low || v > f.high:
		r.report(n, path, "%sis not in %s%s", r.shown(f, n), f.between(), f.rangeHint(v))
	default:
		to.SetFloat(v)
	}
}

// numbersInWords lists what an integer may be.
func (f *field) numbersInWords(separator string) string {
	words := make([]string, len(f.numbers))
	for i, v := range f.numbers {
		words[i] = strconv.Itoa(v)
	}
	return strings.Join(words, separator)
}

// between returns the range of a number.
func (f *field) between() string { return inDigits(f.low) + ".." + inDigits(f.high) }

// inDigits writes a number without an exponent.
func inDigits(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func (r *reader) readArray(f *field, n *Node, path string, to reflect.Value) {
	switch {
	case len(n.Items) < f.min:
		r.report(n, path, "has no elements; at least %d is needed", f.min)
	case f.max > 0 && len(n.Items) > f.max:
		r.report(n, path, "has %d elements; at most %d are allowed", len(n.Items), f.max)
		return
	}
	list := reflect.MakeSlice(to.Type(), len(n.Items), len(n.Items))
	for i, item := range n.Items {
		at := path + "[" + strconv.Itoa(i) + "]"
		if item.Kind == Null {
			r.report(item, at, "expected %s, not nothing", f.elements.kind.withArticle())
			continue
		}
		r.read(f.elements, item, at, list.Index(i))
	}
	if list.Len() > 0 {
		to.Set(list)
	}
}

func (r *reader) readMap(f *field, n *Node, path string, to reflect.Value) {
	if len(n.Members) < f.min {
		r.report(n, path, "has no keys; at least %d is needed", f.min)
	}
	r.duplicates(n, path)
	table := reflect.MakeMap(to.Type())
	for _, m := range n.Members {
		at := Join(path, m.Key)
		if m.Value.Kind == Null {
			r.report(m.Value, at, "expected %s, not nothing", f.values.kind.withArticle())
			continue
		}
		switch wrong := f.keys.wrong(m.Key); {
		case wrong == "" || m.Value.Kind == Fault:
		case m.Key == "":
			r.reportKey(m, at, "%s", wrong)
		default:
			r.reportKey(m, at, "%s %s", quote(m.Key), wrong)
		}
		value := reflect.New(to.Type().Elem()).Elem()
		r.read(f.values, m.Value, at, value)
		table.SetMapIndex(reflect.ValueOf(m.Key), value)
	}
	if table.Len() > 0 {
		to.Set(table)
	}
}

// Join returns the path of a key of the map at path. The path of the top is empty.
func Join(path, key string) string {
	plain := key != "" && len(key) <= 80 && strings.IndexFunc(key, func(c rune) bool {
		return c > 'z' || !isAlnum(byte(c)) && c != '_' && c != '-'
	}) < 0
	switch {
	case !plain:
		return path + "[" + quote(key) + "]"
	case path == "":
		return key
	}
	return path + "." + key
}

// duplicates reports keys that are there twice. It returns the first member of each key.
func (r *reader) duplicates(n *Node, path string) map[string]Member {
	first := make(map[string]Member, len(n.Members))
	for _, m := range n.Members {
		earlier, twice := first[m.Key]
		if !twice {
			first[m.Key] = m
			continue
		}
		if r.full(m.Value) {
			continue
		}
		at := Join(path, m.Key)
		if r.secrets > 0 {
			at = path + ": one of its keys"
		}
		if earlier.Line > 0 {
			r.reportKey(m, at, "is there twice, first in line %d; keep one", earlier.Line)
		} else {
			r.reportKey(m, at, "is there twice; keep one")
		}
	}
	return first
}
