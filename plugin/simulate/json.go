package simulate

import (
	"bytes"
	"encoding/json"
	"time"

	"kong-traffic-split/plugin/split"
)

// Object is a JSON object that keeps its order.
type Object[T any] []Member[T]

// Member is a name with a value.
type Member[T any] struct {
	Name  string
	Value T
}

// MarshalJSON writes the members in their order.
func (o Object[T]) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(m.Name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(m.Value)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// MarshalJSON leaves out the time line unless there is a ramp or an event.
func (r *Result) MarshalJSON() ([]byte, error) {
	type point struct {
		At       time.Time   `json:"at"`
		Requests int         `json:"requests"`
		Counts   Object[int] `json:"counts"`
		Ramp     *float64    `json:"ramp,omitempty"` // percent
	}
	out := struct {
		Requests     int           `json:"requests"`
		Counts       Object[int]   `json:"counts"`
		MaxDeviation float64       `json:"max_deviation"`
		Refused      int           `json:"refused,omitempty"`
		Failed       Object[int]   `json:"failed,omitempty"`
		Reasons      Object[int]   `json:"reasons,omitempty"`
		Clients      *ClientCounts `json:"clients,omitempty"`
		Events       []Event       `json:"events,omitempty"`
		Waits        string        `json:"waits,omitempty"`
		Timeline     []point       `json:"timeline,omitempty"`
	}{
		Requests: r.Requests, Counts: r.byBackend(r.Counts), MaxDeviation: r.MaxDeviation, Refused: r.Refused,
		Reasons: r.reasons(), Clients: r.Clients, Events: r.Events, Waits: r.Waits,
	}
	if r.Fails {
		out.Failed = r.byBackend(r.Failed)
	}
	if r.changes() {
		for i := range r.Points {
			p := &r.Points[i]
			next := point{At: p.At, Requests: p.Requests, Counts: r.byBackend(p.Counts)}
			if r.Ramp >= 0 {
				percent := rounded(100 * p.Ramp())
				next.Ramp = &percent
			}
			out.Timeline = append(out.Timeline, next)
		}
	}
	return json.Marshal(out)
}

func (r *Result) byBackend(counts []int) (o Object[int]) {
	for i, name := range r.Backends {
		o = append(o, Member[int]{name, counts[i]})
	}
	return o
}

// precedence is the order in which what may decide is asked.
var precedence = []split.Reason{split.ByForce, split.ByRule, split.BySession, split.ByHash, split.ByWeight, split.ByFallback, split.ByRetry}

// reasons returns what decided, in the order of precedence; nil if the weight decided
// every time.
func (r *Result) reasons() (o Object[int]) {
	for _, reason := range precedence {
		if n := r.Reasons[reason]; n > 0 {
			o = append(o, Member[int]{string(reason), n})
		}
	}
	if len(o) == 1 && o[0].Name == string(split.ByWeight) {
		return nil
	}
	return o
}

// changes reports whether shares change over the time.
func (r *Result) changes() bool { return r.Ramp >= 0 || len(r.Events) > 0 }
