package standin

import (
	"net/http"
	"slices"

	"kong-traffic-split/kong/companion"
)

// What the functions of post-function do that a row has where requests are tried on another
// backend. Of all functions of that plugin, these alone run here.

// Keys of kong.ctx.shared.
const (
	offered = "traffic_split_retry"
	tried   = "traffic_split_tried"
)

// another is a try after the first.
type another struct {
	timeouts
	name, host string
	port       int
	set        map[string]string
	remove     []string
	answers    string // the header of the answer that names the backend; empty: none
	logged     bool
}

// runCompanion is the access phase of post-function.
func runCompanion(x *exchange, row *pluginRow) error {
	functions := companion.Functions()
	phases, _ := row.config["access"].([]any)
	for phase, list := range row.config {
		texts, _ := list.([]any)
		for _, text := range texts {
			if !slices.ContainsFunc(functions, func(f companion.Function) bool { return f.Phase == phase && f.Text == text }) {
				return raise("this gateway runs no functions of %s but those of splitctl companion", companion.Plugin)
			}
		}
	}
	list, isOffered := x.shared[offered].([]any)
	if !isOffered || len(phases) == 0 {
		return nil
	}
	x.shared[tried] = companion.Version
	for _, element := range list {
		table, _ := element.(map[string]any)
		a := newAnother(table)
		if _, err := x.gateway.resolver.one(x.context(), a.host); err == nil {
			x.balancer.others = append(x.balancer.others, a)
		}
	}
	if n := len(x.balancer.others); n > 0 {
		x.balancer.retries = n
	}
	return nil
}

func newAnother(table map[string]any) *another {
	text := func(key string) string { s, _ := table[key].(string); return s }
	number := func(key string) int { n, _ := table[key].(float64); return int(n) }
	a := &another{
		name: text("name"), host: text("host"), port: number("port"), answers: text("response_header"), logged: table["logged"] == true,
		timeouts: timeouts{
			milliseconds(number("connect_timeout")), milliseconds(number("send_timeout")), milliseconds(number("read_timeout")),
		},
		set: map[string]string{},
	}
	set, _ := table["set"].(map[string]any)
	for name, value := range set {
		a.set[name], _ = value.(string)
	}
	remove, _ := table["remove"].([]any)
	for _, value := range remove {
		name, _ := value.(string)
		a.remove = append(a.remove, name)
	}
	return a
}

// tryAnother has the next try go to another backend, where there is one.
func (x *exchange) tryAnother() {
	b := &x.balancer
	if len(b.others) == 0 {
		return
	}
	a := b.others[0]
	b.others, b.other = b.others[1:], a
	b.host, b.port, b.timeouts = a.host, a.port, a.timeouts
	for name, value := range a.set {
		x.header.Set(name, value)
	}
	for _, name := range a.remove {
		x.header.Del(name)
	}
	before, _ := x.shared[tried].(string)
	x.shared[tried] = before + " " + a.name
}

// filterRetried is the phase header_filter of post-function.
func filterRetried(x *exchange, row *pluginRow, header http.Header) {
	functions, _ := row.config["header_filter"].([]any)
	a := x.balancer.other
	if a == nil || len(functions) == 0 {
		return
	}
	if a.answers != "" {
		header.Set(a.answers, a.name)
	}
	if a.logged {
		x.logged = append(x.logged, keyValue{"traffic_split.backend", a.name}, keyValue{"traffic_split.reason", "retry"})
	}
}
