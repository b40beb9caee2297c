package admin

import "kong-traffic-split/plugin/config"

// Merge returns what to send to Kong, so that a row's config becomes what edits have made
// of it: the keys that they change, and no others. An array goes out as a whole, as Kong
// does not merge arrays.
func Merge(after *config.Node, edits []config.Edit) map[string]any {
	out := map[string]any{}
	for _, e := range edits {
		to := out
		path := e.Path
		for i, step := range path {
			key, _ := step.(string) // the first is one, and what follows an index is in an array
			inArray := false
			if i+1 < len(path) {
				_, inArray = path[i+1].(int)
			}
			if i+1 < len(path) && !inArray {
				if _, whole := to[key].(*config.Node); whole { // it goes out already
					break
				}
				if _, there := to[key].(map[string]any); !there {
					to[key] = map[string]any{}
				}
				to = to[key].(map[string]any)
				continue
			}
			if value := after.At(path[:i+1]...); value == nil {
				to[key] = nil
			} else {
				to[key] = value
			}
			break
		}
	}
	return out
}
