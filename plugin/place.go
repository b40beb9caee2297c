package plugin

import (
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	pdk "github.com/Kong/go-pdk"
	"google.golang.org/protobuf/types/known/structpb"

	"kong-traffic-split/plugin/config"
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

// route is what the plugin wants to know of the Kong route of a request.
type route struct {
	name         string
	preserveHost bool
}

func askRoute(k *pdk.PDK) (route, error) {
	v, err := askCtx(k, getRoute)
	if err != nil {
		return route{}, err
	}
	return route{
		name:         v["name"].GetStringValue(),
		preserveHost: v["preserve_host"].GetBoolValue(),
	}, nil
}

func askService(k *pdk.PDK) (config.Service, error) {
	v, err := askCtx(k, getService)
	if err != nil {
		return config.Service{}, err
	}
	return config.NewService(v["protocol"].GetStringValue(), v["host"].GetStringValue()), nil
}

// askCtx asks for one of the entities that Kong's router left in the request's
// context. kong.router would answer too, but only outside of preread.
func askCtx(k *pdk.PDK, c call) (map[string]*structpb.Value, error) {
	var out structpb.Value
	if err := ask(k, c, &out); err != nil {
		return nil, fmt.Errorf("asking Kong for the request's route or Service: %w", err)
	}
	return out.GetStructValue().GetFields(), nil
}

// askAgain is how long an answer about a route or a Service is good: Kong
// starts new instances at every reload, so it is only a guard.
const askAgain = 5 * time.Second

// remembered keeps the answer to a question about something that is the same
// for all requests of an instance. Safe for concurrent use.
type remembered[T any] struct {
	last atomic.Pointer[answer[T]]
}

type answer[T any] struct {
	value T
	at    time.Time
}

func (r *remembered[T]) get(k *pdk.PDK, ask func(*pdk.PDK) (T, error)) (T, error) {
	if v, ok := r.known(); ok {
		return v, nil
	}
	v, err := ask(k)
	if err == nil {
		r.last.Store(&answer[T]{v, time.Now()})
	}
	return v, err
}

// known returns the answer if there is one that is not too old.
func (r *remembered[T]) known() (v T, ok bool) {
	a := r.last.Load()
	if a == nil || time.Since(a.at) >= askAgain {
		return v, false
	}
	return a.value, true
}
