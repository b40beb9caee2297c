package plugin

import (
	"encoding/json"
	"fmt"
)

// placement is where a plugin row sits in Kong's configuration, from what Kong
// adds to its config.
type placement struct {
	PluginID   string `json:"__plugin_id"`
	RouteID    string `json:"route_id"`
	ServiceID  string `json:"service_id"`
	ConsumerID string `json:"consumer_id"`
	// Seq numbers the configs that a worker of Kong's has loaded, from 1.
	Seq json.Number `json:"__seq__"`

	unknown bool // it cannot be decoded, but for the id perhaps
}

func decodePlacement(text []byte) (p placement, err error) {
	if err := json.Unmarshal(text, &p); err != nil {
		var id struct {
			PluginID string `json:"__plugin_id"`
		}
		_ = json.Unmarshal(text, &id)
		return placement{PluginID: id.PluginID, unknown: true}, fmt.Errorf("what Kong adds to the config: %w", err)
	}
	return p, nil
}

// key names the place: of rows that have the same id, the same one is only where nobody
// has moved it.
func (p *placement) key() string {
	if p.unknown {
		return "unknown" // where nothing was ever good
	}
	return "route=" + p.RouteID + " service=" + p.ServiceID + " consumer=" + p.ConsumerID
}
