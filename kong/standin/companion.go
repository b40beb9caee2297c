package standin

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"kong-traffic-split/kong/companion"
)

// What the functions of post-function do that a row has where requests are tried on another
// backend. Of all functions of that plugin, these alone run here.

// Keys of kong.ctx.shared.
const (
	offered  = "traffic_split_retry"
	toAnswer = "traffic_split_answer"
	triedKey = "traffic_split_tried"
)

// another is a try after the first.
type another struct {
	timeouts
	name, host string
	port       int
	set        map[string]string
	remove     []string
	answers    string // the header of the answer that names the backend; empty: none
	answer     any    // what else becomes of the answer's headers; nil: nothing
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
	if !isOffered && x.shared[toAnswer] == nil || len(phases) == 0 {
		return nil
	}
	x.shared[triedKey] = companion.Version
	for _, element := range list {
		table, _ := element.(map[string]any)
		a := newAnother(table)
		if x.isKnown(a.host) {
			x.balancer.others = append(x.balancer.others, a)
		}
	}
	if isOffered {
		x.balancer.retries = len(x.balancer.others)
	}
	return nil
}

// isKnown reports whether a name has addresses, of which it takes none in its turn. A request
// waits for it as long as for a name that a worker of Kong's has not met before: there is no
// cache here. As in Kong's, a name that was found stays while the name server says nothing.
func (x *exchange) isKnown(name string) bool {
	ctx, cancel := context.WithTimeout(x.context(), 100*time.Millisecond)
	defer cancel()
	found := &x.gateway.resolver.found
	if _, err := x.gateway.resolver.lookup(ctx, name); ctx.Err() == nil {
		found.Store(name, err == nil)
	}
	isFound, _ := found.Load(name)
	return isFound == true
}

func newAnother(table map[string]any) *another {
	text := func(key string) string { s, _ := table[key].(string); return s }
	number := func(key string) int { n, _ := table[key].(float64); return int(n) }
	a := &another{
		name: text("name"), host: text("host"), port: number("port"), answers: text("response_header"), logged: table["logged"] == true,
		timeouts: timeouts{
			milliseconds(number("connect_timeout")), milliseconds(number("send_timeout")), milliseconds(number("read_timeout")),
		},
		answer: table["answer"],
	}
	a.set, a.remove = replacement(table)
	return a
}

// replacement are the headers that a table has under set and remove.
func replacement(table map[string]any) (set map[string]string, remove []string) {
	values, _ := table["set"].(map[string]any)
	set = map[string]string{}
	for name, value := range values {
		set[name], _ = value.(string)
	}
	names, _ := table["remove"].([]any)
	for _, value := range names {
		name, _ := value.(string)
		remove = append(remove, name)
	}
	return set, remove
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
	before, _ := x.shared[triedKey].(string)
	x.shared[triedKey] = fmt.Sprintf("%s %d/%s", before, b.tries[len(b.tries)-1].code, a.name)
	x.shared[toAnswer] = a.answer
}

// filterAnswer is the phase header_filter of post-function.
func filterAnswer(x *exchange, row *pluginRow, header http.Header) {
	functions, _ := row.config["header_filter"].([]any)
	if len(functions) == 0 {
		return
	}
	if a := x.balancer.other; a != nil {
		if a.answers != "" {
			header.Set(a.answers, a.name)
		}
		if a.logged {
			x.logged = append(x.logged, keyValue{"traffic_split.backend", a.name}, keyValue{"traffic_split.reason", "retry"})
		}
	}
	table, ok := x.shared[toAnswer].(map[string]any)
	if !ok || x.source() != "service" {
		return
	}
	set, remove := replacement(table)
	for name, value := range set {
		header.Set(name, value)
	}
	for _, name := range remove {
		header.Del(name)
	}
}
