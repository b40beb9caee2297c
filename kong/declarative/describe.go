package declarative

import (
	"slices"
	"time"
)

// Schema returns the schema of an entity as the Admin API shows it, in values of
// encoding/json; nil: there is no such entity.
func (l *Loader) Schema(entity string) map[string]any {
	if !slices.Contains(entityOrder, entity) {
		return nil
	}
	return shown(rawEntities()["entities"].(map[string]any)[entity])
}

// PluginSchema is the same of an enabled plugin's rows.
func (l *Loader) PluginSchema(plugin string) map[string]any {
	raw, ok := l.plugins[plugin]
	if !ok {
		return nil
	}
	return shown(raw)
}

// shown is a schema without what is our own, and with what Kong shows of all.
func shown(raw any) map[string]any {
	out, _ := withoutValidators(raw).(map[string]any)
	if out["entity_checks"] == nil {
		out["entity_checks"] = []any{}
	}
	delete(out, "name")
	return out
}

// withoutValidators is a copy without the names of checks in custom.go.
func withoutValidators(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, inner := range v {
			if key != "custom_validator" {
				out[key] = withoutValidators(inner)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = withoutValidators(v[i])
		}
		return out
	}
	return v
}

// Check checks one row of an entity as the Admin API's validation endpoint does. ok is false
// if there is no such entity.
func (l *Loader) Check(entity string, row map[string]any) (errs Errors, ok bool) {
	base := l.schemas.entities[entity]
	if base == nil {
		return nil, false
	}
	return base.check(filler{time.Now()}.fill(base, row)), true
}
