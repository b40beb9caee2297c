package main

import (
	"encoding/json"
	"fmt"
	"go/format"
	"strings"
)

// schema is what is read of Kong's schema.
type schema struct {
	Type             string
	Fields           []map[string]schema
	Elements, Values *schema
}

// legacyTypes is Go's source of the parameters as go-pluginserver, which makes Kong 2.x's
// schema of a plugin's types, has to find them.
func legacyTypes(kongSchema []byte) ([]byte, error) {
	var plugin schema
	if err := json.Unmarshal(kongSchema, &plugin); err != nil {
		return nil, err
	}
	for _, field := range plugin.Fields {
		if config, ok := field["config"]; ok {
			return format.Source([]byte(legacyTop + strings.TrimSuffix(config.goType(), "}") + legacyEnd))
		}
	}
	return nil, fmt.Errorf("the schema has no config: %s", kongSchema)
}

const legacyTop = `// Code generated from plugin/config/table*.go by go generate. DO NOT EDIT.

package main

// Plugin is one plugin row of Kong for one of its workers. Its exported fields
// are never filled: go-pluginserver makes the schema for Kong of their types and
// tags, and UnmarshalJSON hands the config as it is to the table in plugin/config.
// Kong 2.x therefore checks keys and types; defaults and the rest are the table's.
type Plugin `

const legacyEnd = `

	instance *instance // as a pointer it is no part of the schema
}
`

// goType is the type of Go that go-pluginserver makes s of.
func (s *schema) goType() string {
	switch s.Type {
	case "integer":
		return "int"
	case "number":
		return "float64"
	case "boolean":
		return "bool"
	case "array":
		return "[]" + s.Elements.goType()
	case "map":
		return "map[string]" + s.Values.goType()
	case "record":
		var b strings.Builder
		b.WriteString("struct {\n")
		for _, field := range s.Fields {
			for name, f := range field {
				fmt.Fprintf(&b, "%s %s `json:%q`\n", exported(name), f.goType(), name)
			}
		}
		return b.String() + "}"
	}
	return s.Type
}

// exported is the name of the field of a parameter.
func exported(name string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(name, "_") {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}
