package standin

import "google.golang.org/protobuf/encoding/protowire"

// entityField is where a field of an entity stands in its message.
type entityField struct {
	name  string
	field protowire.Number
}

var (
	routeFields = []entityField{
		{"id", 1},
		{"created_at", 2},
		{"updated_at", 3},
		{"name", 4},
		{"protocols", 5},
		{"methods", 6},
		{"hosts", 7},
		{"paths", 8},
		{"https_redirect_status_code", 10},
		{"regex_priority", 11},
		{"strip_path", 12},
		{"preserve_host", 13},
		{"snis", 14},
		{"tags", 17},
		{"service", 18},
	}
	serviceFields = []entityField{
		{"id", 1},
		{"created_at", 2},
		{"updated_at", 3},
		{"name", 4},
		{"retries", 5},
		{"protocol", 6},
		{"host", 7},
		{"port", 8},
		{"path", 9},
		{"connect_timeout", 10},
		{"write_timeout", 11},
		{"read_timeout", 12},
		{"tags", 13},
	}
	consumerFields   = []entityField{{"id", 1}, {"created_at", 2}, {"username", 3}, {"custom_id", 4}, {"tags", 5}}
	credentialFields = []entityField{{"id", 1}, {"consumer_id", 2}}
)

// encodeEntity writes an entity. nil is an empty message.
func encodeEntity(row map[string]any, fields []entityField) []byte {
	var out []byte
	for _, f := range fields {
		switch v := row[f.name].(type) {
		case string:
			out = appendText(out, f.field, v)
		case float64:
			out = appendInt(out, f.field, int(v))
		case bool:
			out = appendBool(out, f.field, v)
		case []any:
			for _, element := range v {
				if text, ok := element.(string); ok {
					out = appendBytes(out, f.field, []byte(text))
				}
			}
		case map[string]any: // a reference
			id, _ := v["id"].(string)
			out = appendBytes(out, f.field, appendText(nil, 1, id))
		}
	}
	return out
}

// decodeEntity reads an entity of texts and numbers. nil is no message.
func decodeEntity(message []byte, fields []entityField) (map[string]any, error) {
	if message == nil {
		return nil, nil
	}
	row := map[string]any{}
	err := visit(message, func(field protowire.Number, number uint64, bytes []byte) {
		for _, f := range fields {
			switch {
			case f.field != field:
			case f.name == "tags":
				tags, _ := row["tags"].([]any)
				row["tags"] = append(tags, string(bytes))
			case f.name == "created_at":
				row[f.name] = float64(number)
			default:
				row[f.name] = string(bytes)
			}
		}
	})
	return row, err
}
