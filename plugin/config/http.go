package config

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// NeedsHTTP names the parameters that are set and make no sense where Kong
// passes on TCP or TLS without looking into it; empty: there are none.
func (c *Config) NeedsHTTP() string {
	if len(c.Backends) == 0 {
		return "" // the parameters are those of a split file
	}
	return strings.Join(row.needHTTP(reflect.ValueOf(c).Elem(), "", nil), ", ")
}

// needHTTP adds those of a record.
func (f *field) needHTTP(record reflect.Value, path string, found []string) []string {
	for i := range f.fields {
		p := &f.fields[i]
		at, v := Join(path, p.name), record.FieldByName(goName(p.name))
		switch {
		case v.IsZero() || slices.Contains(p.notHTTP, v.String()):
		case p.http:
			found = append(found, at)
		case p.kind == kindRecord:
			found = p.needHTTP(reflect.Indirect(v), at, found)
		case p.kind == kindArray && p.elements.kind == kindRecord:
			for i := range v.Len() {
				found = p.elements.needHTTP(v.Index(i), at+"["+strconv.Itoa(i)+"]", found)
			}
		}
	}
	return found
}
