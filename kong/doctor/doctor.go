// Package doctor owns what can be wrong with a running Kong and the plugin server beside it:
// it asks both, sends requests if it is told to, and says what to do about what it finds.
package doctor

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"kong-traffic-split/kong/admin"
	"kong-traffic-split/kong/companion"
	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/status"
)

// Severity says how bad a finding is.
type Severity string

const (
	// Error is what keeps requests from being shared out as they are to be.
	Error Severity = "error"
	// Warning is what may do so, or hides it.
	Warning Severity = "warning"
)

// A Finding is one thing that is wrong.
type Finding struct {
	Check    string   `json:"check"`
	Severity Severity `json:"severity"`
	Message  string   `json:"message"`
	Fix      string   `json:"fix"`
}

// A Skipped check is one that was not made.
type Skipped struct {
	Check  string `json:"check"`
	Reason string `json:"reason"`
}

// A Diagnosis is what was found.
type Diagnosis struct {
	Findings []Finding `json:"findings"`
	Checked  []string  `json:"checked"`
	Skipped  []Skipped `json:"skipped"`
	// Sent has what the backends got of the requests that weights decided, where any were
	// sent and counted.
	Sent []Share `json:"sent,omitempty"`
}

// Ill reports whether there is an error among the findings.
func (d *Diagnosis) Ill() bool {
	return slices.ContainsFunc(d.Findings, func(f Finding) bool { return f.Severity == Error })
}

// Options say whom to ask.
type Options struct {
	Plugin  string        // its name
	Version string        // of this program, which is released with the server
	Admin   *admin.Client // nil: Kong is not asked
	Status  []string      // addresses of servers
	Send    *Send         // nil: nothing is sent
}

// Examine asks everybody, and makes all checks for which there is somebody to ask.
func Examine(ctx context.Context, o Options) *Diagnosis {
	f := gather(ctx, o)
	if o.Send != nil {
		f.sent = o.Send.run(ctx, f, answerTime)
		f.renew()
	}
	return f.diagnose()
}

// facts are what all checks go by.
type facts struct {
	Options
	kong    *kongFacts // nil: Kong was not asked
	servers []server
	sent    *sent
}

type server struct {
	address string
	report  *status.Report
	err     error
}

// kongFacts are what Kong says of itself.
type kongFacts struct {
	node        *admin.Node // nil: it has not answered
	failed      error       // one of the answers to GET /, which other workers answer
	err         error       // why there is no node
	connections int
	schema      json.RawMessage
	rows        []row
	rowsErr     error
	routes      []admin.Route             // asked for only where a row has no backends of its own, or takes the companion
	lua         []string                  // plugins with Lua of their own that have rows
	functions   []admin.Row               // of post-function
	upstreams   map[string][]admin.Health // that splits name; nil: Kong has no such Upstream
	unknown     map[string]error          // whose health Kong does not say
	lacks       map[string]error          // what Kong has not answered for a check, by its name
}

// row is a row of ours with its config; nil: it is not one that the plugin takes.
type row struct {
	admin.Row
	config *config.Config
}

func (r *row) name() string { return cmp.Or(r.InstanceName, r.ID) }

// rootTries is how often GET / is asked, so many at the same time that several workers answer.
const (
	rootTries    = 32
	rootTogether = 8
)

// gatherTime is how long Kong and the servers may take for all that they are asked.
const gatherTime = 2 * time.Minute

func gather(ctx context.Context, o Options) *facts {
	ctx, cancel := context.WithTimeout(ctx, gatherTime)
	defer cancel()
	f := &facts{Options: o, servers: make([]server, len(o.Status))}
	var asking sync.WaitGroup
	for i, address := range o.Status {
		asking.Go(func() {
			r, err := status.Fetch(ctx, address)
			f.servers[i] = server{address, r, err}
		})
	}
	if o.Admin != nil {
		f.kong = &kongFacts{}
		asking.Go(func() { f.kong.gather(ctx, o.Admin, o.Plugin) })
	}
	asking.Wait()
	if f.kong != nil {
		f.gatherUpstreams(ctx, o.Admin)
	}
	return f
}

// renew has the checks go by what servers report after requests were sent: of a row, they know
// from the first one on.
func (f *facts) renew() {
	for i := range f.servers {
		for _, r := range f.sent.after {
			if r != nil && f.servers[i].report != nil && f.servers[i].report.Started.Equal(r.Started) {
				f.servers[i].report = r
			}
		}
	}
}

func (k *kongFacts) gather(ctx context.Context, client *admin.Client, plugin string) {
	k.gatherNode(ctx, client)
	if k.node == nil {
		return
	}
	k.lacks = map[string]error{}
	var err error
	if k.connections, err = client.Connections(ctx); err != nil {
		k.lacks["pool"] = err
	}
	if k.schema, err = client.Schema(ctx, plugin); err != nil {
		k.lacks["schema"] = err
	}
	rows, err := client.Rows(ctx, plugin)
	if err != nil {
		k.rowsErr = err
		return
	}
	for _, r := range rows {
		if r.Enabled {
			k.rows = append(k.rows, row{r, decode(r.Config)})
		}
	}
	for _, name := range []string{"pre-function", companion.Plugin} {
		rows, err := client.Rows(ctx, name)
		if err != nil {
			k.lacks["untrusted_lua"] = err
		} else if len(rows) > 0 {
			k.lua = append(k.lua, name)
		}
		if name == companion.Plugin {
			if k.functions = rows; err != nil {
				k.lacks["companion"] = err
			}
		}
	}
	if slices.ContainsFunc(k.rows, func(r row) bool { return fromFile(r) || r.config != nil && r.config.NeedsCompanion() }) {
		if k.routes, err = client.Routes(ctx); err != nil {
			k.lacks["splits"] = err
			k.lacks["companion"] = err
		}
	}
}

// gatherNode asks all workers what the node says of itself, one of which may fail.
func (k *kongFacts) gatherNode(ctx context.Context, client *admin.Client) {
	for range rootTries / rootTogether {
		var lock sync.Mutex
		var asking sync.WaitGroup
		for range rootTogether {
			asking.Go(func() {
				node, err := client.Node(ctx)
				lock.Lock()
				defer lock.Unlock()
				switch refusal, ok := errors.AsType[*admin.Refusal](err); {
				case err == nil:
					k.node = node
				case ok && refusal.Status == http.StatusInternalServerError:
					k.failed = err
				default:
					k.err = err
				}
			})
		}
		asking.Wait()
		if k.err != nil {
			break
		}
	}
	if k.node == nil && k.err == nil {
		k.err = k.failed
	}
}

// decode returns the config of a row; nil: the plugin would not take it.
func decode(text json.RawMessage, options ...config.Option) *config.Config {
	tree, err := config.ParseKong(text)
	if err != nil {
		return nil
	}
	c, problems := config.DecodeRow(tree.WithoutNulls(), append(options, config.References)...)
	if problems != nil {
		return nil
	}
	return c
}
