package declarative

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

//go:embed entities.yaml
var entitiesYAML []byte

// entityOrder lists the entities, each after those that it may refer to.
var entityOrder = []string{
	"consumers", "keyauth_credentials", "services", "routes", "plugins", "upstreams", "targets",
}

// entityKeys are the fields that name a row.
var entityKeys = map[string]string{
	"consumers": "username", "keyauth_credentials": "key", "services": "name", "routes": "name",
	"plugins": "instance_name", "upstreams": "name", "targets": "target",
}

// children are the entities that can stand inside of another one, to which they refer.
var children = map[string][]string{
	"consumers": {"keyauth_credentials", "plugins"}, "services": {"routes", "plugins"}, "routes": {"plugins"},
	"upstreams": {"targets"},
}

// referring is the field by which what stands inside of an entity refers to it.
func referring(entity string) string { return strings.TrimSuffix(entity, "s") }

// bundled are the plugins of Kong's own that are known here.
var bundled = []string{
	"file-log", "key-auth", "post-function", "redirect", "request-termination", "request-transformer", "response-transformer",
}

// schemas are those of a whole file, for a set of plugins.
type schemas struct {
	flavor   Flavor
	entities map[string]*record
	top      *record
}

// newSchemas compiles the schemas for a router of that flavor and these plugins,
// whose own schemas are given by name.
func newSchemas(flavor Flavor, plugins map[string]map[string]any) (*schemas, error) {
	raw := rawEntities()
	entities, variants := maps.Clone(raw["entities"].(map[string]any)), raw["routes"].(map[string]any)
	if flavor == Expressions {
		entities["routes"], variants = withExpressions(entities["routes"].(map[string]any), variants)
	}
	s := &schemas{flavor: flavor, entities: map[string]*record{}}
	for _, name := range entityOrder {
		s.entities[name] = must(compileRecord(entities[name].(map[string]any), true, nil))
	}
	if flavor == Expressions {
		s.entities["routes"].checks = append(s.entities["routes"].checks, routeExpression)
	}
	s.entities["services"].shorthands = serviceURL
	s.entities["services"].variant = withoutURL
	s.entities["upstreams"].shorthands = upstreamAlgorithm
	s.addRouteVariants(variants)
	if err := s.addPluginVariants(plugins); err != nil {
		return nil, err
	}
	s.top = s.file()
	return s, nil
}

// rawEntities reads entities.yaml. Nobody changes what it returns.
var rawEntities = sync.OnceValue(func() map[string]any {
	v := must(decodeYAML(entitiesYAML))
	resolveChecks(v)
	return v.(map[string]any)
})

// must is for what comes from entities.yaml, which no user can change.
func must[T any](v T, err error) T {
	if err != nil {
		panic(fmt.Errorf("entities.yaml: %w", err))
	}
	return v
}

// resolveChecks puts the functions where the names of checks stand.
func resolveChecks(v any) {
	for _, pair := range pairs(v) {
		resolveChecks(pair.value)
	}
	if row, ok := v.(map[string]any); ok {
		if name, ok := row["custom_validator"].(string); ok {
			row["custom_validator"] = customChecks[name]
		}
	}
}

// addRouteVariants makes the schema of a route depend on its protocols.
func (s *schemas) addRouteVariants(raw map[string]any) {
	family := map[string]string{
		"http": "http", "https": "http", "grpc": "grpc", "grpcs": "grpc",
		"tcp": "tcp", "tls": "tcp", "udp": "tcp", "tls_passthrough": "tcp",
	}
	base := s.entities["routes"]
	variants := map[string]*record{}
	for name, definition := range raw {
		variants[name] = must(compileRecord(definition.(map[string]any), false, base))
	}
	base.variant = func(row map[string]any) (*record, Errors) {
		if row["protocols"] == nil {
			return nil, Errors{"protocols": "required field missing"}
		}
		list, _ := sequence(row["protocols"])
		for _, protocol := range list {
			name, _ := protocol.(string)
			if r, ok := variants[family[name]]; ok {
				return r, nil
			}
		}
		unknown := row["protocols"]
		if len(list) > 0 {
			unknown = list[0]
		}
		return nil, Errors{"protocols": "unknown type: " + LuaString(unknown)}
	}
}

// addPluginVariants makes the schema of a plugin's row depend on its name.
func (s *schemas) addPluginVariants(plugins map[string]map[string]any) error {
	base := s.entities["plugins"]
	variants := map[string]*record{}
	for name, definition := range plugins {
		r, err := compileRecord(definition, true, base)
		if err != nil {
			return fmt.Errorf("error loading plugin schemas: on plugin '%s': %w", name, err)
		}
		for field := range r.fields {
			if base.fields[field] == nil {
				return fmt.Errorf("error loading plugin schemas: on plugin '%s': error in definition of '%s': %s: cannot create a new field",
					name, name, field)
			}
		}
		if config := r.fields["config"]; config == nil || config.kind != "record" {
			return fmt.Errorf("error loading plugin schemas: on plugin '%s': it has no record 'config'", name)
		}
		variants[name] = r
	}
	base.variant = func(row map[string]any) (*record, Errors) {
		if row["name"] == nil {
			return nil, Errors{"name": "required field missing"}
		}
		name, ok := row["name"].(string)
		if r := variants[name]; ok && r != nil {
			return r, nil
		}
		return nil, Errors{"name": fmt.Sprintf(
			"plugin '%s' not enabled; add it to the 'plugins' configuration property", LuaString(row["name"]))}
	}
	return nil
}

// file is the schema of a whole declarative file.
func (s *schemas) file() *record {
	r := &record{fields: map[string]*field{}}
	version := oneOfTexts("1.1", "2.1", "3.0")
	version.required = true
	r.add("_format_version", version)
	r.add("_transform", &field{kind: "boolean", fallback: true, hasDefault: true})
	addRemarks(r)
	for _, name := range entityOrder {
		r.add(name, listOf(s.nested(name, false)))
	}
	return r
}

// nested is the schema of an entity with those inside that refer to it. Inside
// of another entity it does not say itself what it refers to.
func (s *schemas) nested(name string, inside bool) *record {
	r := *s.entities[name]
	r.names, r.fields = slices.Clone(r.names), maps.Clone(r.fields)
	for fieldName, f := range r.fields {
		if inside && f.kind == "foreign" {
			isNull := *f
			isNull.eq, isNull.required = &operand{nil}, false
			r.fields[fieldName] = &isNull
		}
	}
	addRemarks(&r)
	for _, child := range children[name] {
		r.add(child, listOf(s.nested(child, true)))
	}
	return &r
}

func (r *record) add(name string, f *field) {
	r.names = append(r.names, name)
	r.fields[name] = f
}

func addRemarks(r *record) {
	r.add("_comment", &field{kind: "string"})
	r.add("_ignore", &field{kind: "array", elements: &field{kind: "any", required: true}})
}

func listOf(r *record) *field {
	return &field{kind: "array", elements: &field{kind: "record", required: true, record: r}}
}

func oneOfTexts(texts ...string) *field {
	list := make([]any, len(texts))
	for i, text := range texts {
		list[i] = text
	}
	isOne, _ := validatorsByName["one_of"](list) // it is a list
	return &field{kind: "string", validators: []validator{isOne}}
}

// isReference reports whether a text is a reference to a vault.
func isReference(text string) bool {
	return strings.HasPrefix(text, "{vault://") && strings.HasSuffix(text, "}")
}
