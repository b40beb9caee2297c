package config

import (
	"reflect"
	"strings"
)

// readRecord reads each field of a record into the field of a Go struct of the
// same name.
func (r *reader) readRecord(f *field, n *Node, path string, to reflect.Value) {
	first := r.duplicates(n, path)
	strange := false
	for _, m := range n.Members {
		known := f.field(m.Key)
		switch {
		case r.lua && addedByKong(m.Key, path == ""):
		case known == nil && m.Value.Kind == Fault && r.secrets == 0:
			r.report(m.Value, Join(path, m.Key), "%s", m.Value.Text)
		case known == nil:
			strange = true
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
	for i := 0; i < len(f.checks) && !strange; i++ { // what is missing may be what is misspelt
		r.relation(f, &f.checks[i], n, path)
	}
	if f.also != nil {
		f.also(r, n, path, to.Addr().Interface())
	}
}

// addedByKong says whether Kong puts a key of this name into a configuration
// that never had it: at the top, what it knows of the row; in any record, the
// vault references that were resolved.
func addedByKong(key string, top bool) bool {
	return key == "$refs" ||
		top && (strings.HasPrefix(key, "__") || strings.HasSuffix(key, "_id") || key == "plugin_instance_name")
}

// goName is the name of a parameter as the Go structs have it: HostHeader for
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

// unknown says what is wrong with a key that a record does not have, and shows it
// unless it may be a secret.
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
