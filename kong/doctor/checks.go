package doctor

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/status"
)

// A check looks for one kind of fault. needs says what it goes by; empty: it can be made.
type check struct {
	name  string
	needs func(*facts) (lacks string)
	make  func(*facts, func(severity Severity, fix, format string, args ...any))
}

func kong(f *facts) string {
	switch {
	case f.kong == nil:
		return "--admin is not given"
	case f.kong.node == nil:
		return "Kong's Admin API does not answer"
	}
	return ""
}

func rows(f *facts) string {
	if lacks := kong(f); lacks != "" {
		return lacks
	}
	if f.kong.rowsErr != nil {
		return "Kong does not say which rows there are: " + f.kong.rowsErr.Error()
	}
	return ""
}

func reports(f *facts) string {
	switch {
	case len(f.servers) == 0:
		return "--status is not given"
	case !slices.ContainsFunc(f.servers, func(s server) bool { return s.report != nil }):
		return "no server answers"
	}
	return ""
}

// both needs what two others need.
func both(one, other func(*facts) string) func(*facts) string {
	return func(f *facts) string { return cmp.Or(one(f), other(f)) }
}

var rowsAndReports = both(rows, reports)

type report = func(severity Severity, fix, format string, args ...any)

// checks are all of them, in the order in which their findings are shown: what comes first
// is often the reason of what follows.
var checks = []check{
	{"admin", func(f *facts) string {
		if f.kong == nil {
			return "--admin is not given"
		}
		return ""
	}, checkAdmin},
	{"plugin", kong, checkPlugin},
	{"server", func(f *facts) string {
		if len(f.servers) == 0 {
			return "--status is not given"
		}
		return ""
	}, checkServer},
	{"version", kong, checkVersion},
	{"schema", both(kong, reports), checkSchema},
	{"start_cmd", kong, checkStartCommand},
	{"log_level", kong, checkLogLevel},
	{"rows", rows, checkRows},
	{"upstreams", rows, checkUpstreams},
	{"splits", rowsAndReports, checkSplits},
	{"outcomes", reports, checkOutcomes},
	{"guards", rowsAndReports, checkGuards},
	{"status", reports, checkStatus},
	{"pool", kong, checkPool},
	{"router_flavor", kong, checkRouter},
	{"untrusted_lua", rows, checkLua},
	{"companion", rows, checkCompanion},
	{"send", func(f *facts) string {
		if f.Send == nil {
			return "--send is not given"
		}
		return ""
	}, checkSent},
}

// diagnose makes all checks.
func (f *facts) diagnose() *Diagnosis {
	d := &Diagnosis{Findings: []Finding{}, Checked: []string{}, Skipped: []Skipped{}}
	for _, c := range checks {
		lacks := c.needs(f)
		if lacks == "" && f.kong != nil && f.kong.lacks[c.name] != nil {
			lacks = "Kong does not say what it needs: " + f.kong.lacks[c.name].Error()
		}
		if lacks != "" {
			d.Skipped = append(d.Skipped, Skipped{c.name, lacks})
			continue
		}
		d.Checked = append(d.Checked, c.name)
		c.make(f, func(severity Severity, fix, format string, args ...any) {
			d.Findings = append(d.Findings, Finding{c.name, severity, fmt.Sprintf(format, args...), fix})
		})
	}
	if f.sent != nil {
		d.Sent = f.sent.shares
	}
	return d
}

func checkAdmin(f *facts, found report) {
	if f.kong.node == nil {
		found(Error, "look that Kong runs, that admin_listen in its kong.conf has this address, and that the token is right", "Kong's Admin API does not answer: %v", f.kong.err)
	}
}

func checkPlugin(f *facts, found report) {
	node := f.kong.node
	if _, ok := node.Plugins.Available[f.Plugin]; !ok {
		found(Error, fmt.Sprintf("in kong.conf: plugins = bundled,%s and pluginserver_names = %[1]s, with its socket and query_cmd; then restart Kong", f.Plugin),
			"Kong does not know the plugin %s", f.Plugin)
	}
	for _, s := range node.Configuration.PluginServers {
		if s.Name == f.Plugin {
			return
		}
	}
	if len(node.Configuration.PluginServers) > 0 {
		found(Warning, "look that one of them is ours: docs/start.md has the lines of kong.conf", "no plugin server of kong.conf is called %s", f.Plugin)
	}
}

func checkServer(f *facts, found report) {
	for _, s := range f.servers {
		if s.err != nil {
			found(Error, "look that the server runs, with -status-listen, and read its log; while it is away, Kong answers the requests of its routes with 500", "the plugin server at %s does not answer: %v", s.address, s.err)
		}
	}
	for address, r := range f.others {
		if r.Version != f.Version {
			found(Warning, "use the splitctl of the server's version", "the server at %s is of version %s, and splitctl of version %s", address, r.Version, f.Version)
		}
	}
}

// others returns the servers that answer, with their reports.
func (f *facts) others(yield func(string, *status.Report) bool) {
	for _, s := range f.servers {
		if s.report != nil && !yield(s.address, s.report) {
			return
		}
	}
}

func checkVersion(f *facts, found report) {
	if major, _, _ := strings.Cut(f.kong.node.Version, "."); major != "3" {
		found(Error, "take Kong 3, or for Kong 2.x the plugin of docs/kong-2.md", "Kong is of version %s; the plugin server serves Kong 3", f.kong.node.Version)
	}
}

func checkSchema(f *facts, found report) {
	for address, r := range f.others {
		if known, ok := f.kong.node.Plugins.Available[f.Plugin]; ok && known.Version != r.Version {
			found(Warning, "have Kong read the server's own dump: look what query_cmd reads, then kong reload", "Kong has read a dump of version %s, and the server at %s is of version %s", known.Version, address, r.Version)
		}
	}
	if f.kong.schema == nil {
		return // Kong does not know the plugin
	}
	has := status.SchemaHash(f.kong.schema)
	for address, r := range f.others {
		if r.Schema != "" && r.Schema != has {
			found(Error, "have Kong read this server's dump: query_cmd = cat the file of its -info-file, or traffic-split -dump of the same version; then kong reload",
				"Kong checks configs by another schema (%s) than the one of the server at %s (%s): it refuses new parameters, or lets wrong ones through", has, address, r.Schema)
		}
	}
}

// startsServer reports whether Kong starts the plugin server itself.
func (f *facts) startsServer() bool {
	for _, s := range f.kong.node.Configuration.PluginServers {
		if s.Name == f.Plugin && s.StartCommand != "" {
			return true
		}
	}
	return false
}

// rootFails reports whether a version of Kong's answers GET / with 500 where worker 0 takes it
// and has started a plugin server.
func rootFails(version string) bool {
	patch, ok := strings.CutPrefix(version, "3.9.")
	n, err := strconv.Atoi(patch)
	return ok && err == nil && n <= 3
}

func checkStartCommand(f *facts, found report) {
	const fix = "have the server run beside Kong (docs/operate.md): leave start_cmd out of kong.conf, and start the server by systemd or in a container"
	switch version := f.kong.node.Version; {
	case f.kong.failed != nil:
		found(Error, fix, "GET / of the Admin API is answered with an error by some workers, which decK and the ingress controller ask for: %v. Kong 3.9.0 to 3.9.3 does so where it starts the plugin server itself; this is %s", f.kong.failed, version)
	case f.startsServer() && rootFails(version):
		found(Warning, fix, "Kong %s starts the plugin server itself (start_cmd), and then answers GET / of the Admin API with 500 where worker 0 takes it; decK and the ingress controller ask for that", version)
	}
}

func checkLogLevel(f *facts, found report) {
	switch level := f.kong.node.Configuration.LogLevel; level {
	case "debug", "info":
	default:
		if f.startsServer() {
			found(Warning, "in kong.conf: log_level = info; or have the server run beside Kong, with a log of its own", "Kong logs what the plugin server writes at the level info, and its log_level is %s: warnings and crashes of the server are not to be seen", level)
		}
	}
}

func checkRows(f *facts, found report) {
	if len(f.kong.rows) == 0 {
		found(Warning, "add a row of the plugin to a route: docs/start.md", "Kong has no enabled row of the plugin %s, so that nothing is shared out", f.Plugin)
	}
	for _, r := range f.kong.rows {
		if r.config == nil {
			found(Error, "splitctl check says what is wrong with the file that it comes from; the server's log does, too", "the config of the row %s is not one that the plugin takes", r.name())
		}
	}
}

// giveOutcomes is how Kong comes to tell the server what becomes of requests.
const giveOutcomes = "start the server with -outcomes, and let Kong read a dump that was made so: where Kong starts the server, add -outcomes to query_cmd too; beside Kong, look that query_cmd reads this server's -info-file; then kong reload"

func checkOutcomes(f *facts, found report) {
	for address, r := range f.others {
		for _, s := range r.Splits {
			if !s.OutcomesMissing.IsZero() {
				found(Error, giveOutcomes, "%s: Kong tells the server at %s no outcomes since %s, so that guards, passive health checks and comparisons with shadows do not work", s.Split, address, s.OutcomesMissing.UTC().Format(time.RFC3339))
			}
		}
	}
}

func checkGuards(f *facts, found report) {
	for address, r := range f.others {
		for _, row := range f.kong.rows {
			if !r.Outcomes && row.config != nil && decode(row.Config, config.WithoutOutcomes) == nil {
				found(Error, giveOutcomes, "the row %s has a guard or passive health checks, which need the outcomes of requests, and the server at %s was started without -outcomes", row.name(), address)
			}
		}
	}
}

func checkStatus(f *facts, found report) {
	for address, r := range f.others {
		for _, wrong := range r.Wrong {
			if !strings.Contains(wrong, "Kong tells no outcomes") { // that is a check of its own
				found(Error, "splitctl status "+address+" shows more, and docs/operate.md what to do", "the server at %s reports: %s", address, wrong)
			}
		}
	}
}

func checkPool(f *facts, found report) {
	workers := max(1, f.kong.node.Workers())
	pool := f.kong.node.Configuration.SocketPoolSize
	if busy := f.kong.connections; pool > 0 && busy > pool*workers {
		found(Warning, fmt.Sprintf("in kong.conf: lua_socket_pool_size = %d", 2*busy/workers), "Kong has %d connections of clients and keeps at most %d connections to the plugin server a worker, of which there are %d: under this load it opens new ones for each request", busy, pool, workers)
	}
}

func checkRouter(f *facts, found report) {
	if flavor := f.kong.node.Configuration.RouterFlavor; flavor == "traditional" {
		found(Warning, "in kong.conf: router_flavor = traditional_compatible, or expressions where splitctl convert says so", "router_flavor is traditional, by which no output of splitctl convert was tried; routes may be matched in another order")
	}
}

func checkLua(f *facts, found report) {
	if f.kong.node.Configuration.UntrustedLua == "off" && len(f.kong.lua) > 0 {
		found(Error, "in kong.conf: untrusted_lua = sandbox, Kong's default", "untrusted_lua is off, and there are rows of %s: Kong takes no such row any more, and does not run what it has", strings.Join(f.kong.lua, " and "))
	}
}
