package status

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// SchemaHash returns a short hash of a schema of Kong's for a plugin: the same for what the
// server dumps and for what Kong's Admin API shows of it. It is empty if that is no schema.
func SchemaHash(schema []byte) string {
	var top struct {
		Fields []map[string]any `json:"fields"`
	}
	if json.Unmarshal(schema, &top) != nil {
		return ""
	}
	for _, field := range top.Fields {
		if config, ok := field["config"]; ok {
			text, err := json.Marshal(withoutEmpty(config))
			if err != nil {
				return ""
			}
			sum := sha256.Sum256(text)
			return hex.EncodeToString(sum[:6])
		}
	}
	return ""
}

// withoutEmpty leaves out what is empty: Lua does not tell an empty list from an empty map.
func withoutEmpty(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, inner := range v {
			if inner = withoutEmpty(inner); inner == nil {
				delete(v, key)
			} else {
				v[key] = inner
			}
		}
		if len(v) == 0 {
			return nil
		}
	case []any:
		if len(v) == 0 {
			return nil
		}
		for i := range v {
			v[i] = withoutEmpty(v[i])
		}
	}
	return v
}
