package keeper

import (
	"encoding/json"
	"time"

	"kong-traffic-split/plugin/state"
)

// Deaths are those of serving processes that were to go on. A keeper counts on where the
// one before it has stopped.
type Deaths struct {
	// Died are those that ended by themselves, or were killed by somebody else; Hung are
	// those that the keeper has killed, as they did not answer any more.
	Died uint64 `json:"died"`
	Hung uint64 `json:"hung"`
	// Last is when the last one died.
	Last time.Time `json:"last,omitzero"`
}

// deathsKey has them, in JSON.
const deathsKey = "keeper/deaths"

// DeathsOf returns the deaths of which saved knows.
func DeathsOf(saved state.Store) (d Deaths) {
	_ = json.Unmarshal(saved.Get(deathsKey), &d) // nothing, before the first one
	return d
}
