package config

import (
	"reflect"
	"slices"
	"strings"
)

// readRecord reads each field of a record into the field of the same name of a Go
// struct.
func (r *reader) readRecord(f *field, n *Node, path string, to reflect.Value) {
	first := r.duplicates(n, path)
	hasUnknown := false
	for _, m := range n.Members {
		known := f.field(m.Key)
		switch {
		case r.lua && addedByKong(m.Key, path == ""):
		case known == nil && m.Value.Kind == Fault && r.secrets == 0:
			r.report(m.Value, Join(path, m.Key), "%s", m.Value.Text)
		case known == nil:
			hasUnknown = true
			if !r.full(m.Value) {
				r.reportKey(m, path, "%s", f.unknown(m.Key, r.secrets > 0))
			}
		case m.Value.Kind != Null:
			value := to.FieldByName(goName(m.Key))
			if first[m.Key].Value != m.Value { // the key is there twice: the first counts, this one is only checked
				value = reflect.New(value.Type()).Elem()
			}
			r.read(known, m.Value, Join(path, m.Key), value)
		}
	}
	for i := range f.fields {
		missing := &f.fields[i]
		if m, there := first[missing.name]; there && m.Value.Kind != Null {
			continue
		}
		if missing.required {
			r.report(n, Join(path, missing.name), "is required: %s", strings.ToLower(missing.doc[:1])+strings.TrimSuffix(missing.doc[1:], "."))
		}
		if missing.def != nil {
			to.FieldByName(goName(missing.name)).Set(reflect.ValueOf(missing.def))
		}
	}
	for i := 0; i < len(f.checks) && !hasUnknown; i++ { // an unknown key may be a misspelt one
		r.relation(f, &f.checks[i], n, path)
	}
	if f.also != nil {
		f.also(r, n, path, to.Addr().Interface())
	}
}

// addedByKong reports whether Kong itself adds a key of this name to a configuration: at
// the top, what it knows of the row; in any record, the vault references that it has
// resolved.
func addedByKong(key string, top bool) bool {
	return key == "$refs" ||
		top && (strings.HasPrefix(key, "__") || strings.HasSuffix(key, "_id") || key == "plugin_instance_name")
}

// goName returns the name of a parameter in the Go structs: HostHeader for
// host_header.
func goName(name string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(name, "_") {
		if whole, ok := initialisms[word]; ok {
			b.WriteString(whole)
			continue
		}
		b.WriteString(strings.ToUpper(word[:1]))
		b.WriteString(word[1:])
	}
	return b.String()
}

var initialisms = map[string]string{"http": "HTTP", "ips": "IPs", "uri": "URI"}

// unknown returns the message for a key that a record does not have. It shows the key
// unless that may be a secret.
func (f *field) unknown(key string, secret bool) string {
	wrong := "unknown key " + quote(key)
	hint, known := f.hints[key]
	if secret && !known {
		wrong = "an unknown key, which is not shown, as it may hold a secret"
		if strings.Contains(key, ":") {
			wrong += "; behind a key come a colon and a space"
		}
	}
	if known {
		return wrong + "; " + hint
	}
	if s := suggest(key, names(f.fields)); s != "" {
		return wrong + s
	}
	return wrong + "; the keys here are " + strings.Join(names(f.fields), ", ")
}

// relation reports fields of a record that contradict a check.
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
		if set := setOf(n, c.mutuallyExclusive); len(set) > 1 && c.message != "" {
			last := set[len(set)-1]
			r.report(n.Get(last), Join(path, last), "%s", c.message)
		} else if len(set) > 1 {
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

// applies reports whether the condition of a check holds.
func (c *check) applies(f *field, n *Node) bool {
	switch v := n.Get(c.ifField); {
	case c.ifMatch != nil:
		return n.set(c.ifField) && v.Kind == String && c.ifMatch.MatchString(v.Text)
	case c.ifEquals == nil:
		return n.set(c.ifField)
	case v == nil || v.Kind == Null:
		return f.field(c.ifField).def == c.ifEquals
	default:
		return v.Kind == String && c.ifEquals == v.Text || v.Kind == Bool && c.ifEquals == v.Bool
	}
}

// consequence reports a field that is not as a check requires, whose condition holds.
func (r *reader) consequence(c *check, n *Node, path string) {
	at := n.Get(c.thenField)
	there := at != nil && at.Kind != Null
	var wrong bool
	switch {
	case c.thenAbsent:
		wrong = there
	case c.thenOneOf != nil:
		wrong = there && at.Kind == String && !slices.Contains(c.thenOneOf, at.Text)
	case c.thenPositive && there:
		wrong = at.Kind == Number && isZero(at.Text)
	default:
		at, wrong = n, !n.set(c.thenField)
	}
	if wrong {
		r.report(at, Join(path, c.thenField), "%s", c.message)
	}
}

// setOf returns those of the fields that are set.
func setOf(n *Node, fields []string) []string {
	var set []string
	for _, name := range fields {
		if n.set(name) {
			set = append(set, name)
		}
	}
	return set
}
