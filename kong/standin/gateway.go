package standin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"kong-traffic-split/kong/declarative"
)

// drainPatience is how long Close waits for requests in flight.
const drainPatience = 10 * time.Second

// A Gateway is a stand-in for one Kong node. Its methods may be called by
// several goroutines at the same time.
type Gateway struct {
	settings
	log        *errorLog
	nodeID     string
	resolver   *resolver
	transports transports
	files      logFiles
	http       subsystem
	streams    subsystem

	reloading sync.Mutex // held by what makes a generation, and by Close
	loader    *declarative.Loader
	handlers  []*handler
	processes []*serverProcess
	reloads   int
	current   atomic.Pointer[generation]

	connections atomic.Uint64
	servers     []*http.Server
	listeners   []net.Listener // of streams
	proxyAddrs  []string
	streamAddrs []string
	adminAddrs  []string
	ending      context.Context // done when the gateway ends
	end         context.CancelFunc

	mu        sync.Mutex
	tunnels   map[net.Conn]struct{}
	serving   sync.WaitGroup
	wasClosed bool
}

// New makes a gateway. Its error says which option is wrong.
func New(o Options) (*Gateway, error) {
	s, err := o.check()
	if err != nil {
		return nil, err
	}
	g := &Gateway{
		settings: s,
		log:      &errorLog{w: s.ErrorLog, level: s.level},
		nodeID:   declarative.NewUUID(),
		resolver: newResolver(s.Resolve, s.DNSResolver),
		tunnels:  map[net.Conn]struct{}{},
	}
	g.ending, g.end = context.WithCancel(context.Background())
	for _, server := range s.PluginServers {
		if server.StartCmd == "" {
			g.log.print(levelWarn, 0, "start_command undefined for pluginserver "+server.Name+
				"; assuming external process management", "")
		}
	}
	return g, nil
}

// Start does what `kong start` does: it queries the plugin servers, checks the
// declarative file and listens. Its errors are Kong's. Where it fails, nothing is
// left running.
func (g *Gateway) Start() error {
	if err := g.Reload(); err != nil {
		return err
	}
	if err := g.listen(); err != nil {
		return errors.Join(err, g.Close())
	}
	return nil
}

// Reload does what `kong reload` does: it queries the plugin servers again, reads
// the declarative file again, and goes on with new workers; the old ones finish
// their requests. Where something is wrong, nothing changes.
func (g *Gateway) Reload() error {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	if g.ending.Err() != nil {
		return errors.New("the gateway is closed")
	}
	next, err := g.prepare()
	if err != nil {
		return err
	}
	g.warnOfUpstreams(next.config)
	former, processes := g.workers(), g.processes
	g.loader, g.handlers = next.loader, next.handlers
	g.http.workers = newWorkers(g)
	if len(g.stream) > 0 {
		g.streams.workers = newWorkers(g)
	}
	g.processes = nil
	for _, p := range processes {
		p.stop()
	}
	if g.reloads++; g.reloads%2 == 1 { // the first one was the start
		for _, p := range processes {
			p.close()
		}
		processes = nil
	}
	for _, server := range g.PluginServers {
		if server.StartCmd != "" {
			g.processes = append(g.processes, startProcess(server, g.log))
		}
	}
	g.current.Store(g.newGeneration(next.config, next.hash))
	g.serving.Go(func() { g.retire(former, processes) })
	return nil
}

// workers are those of both subsystems.
func (g *Gateway) workers() []*worker { return slices.Concat(g.http.workers, g.streams.workers) }

// retire ends the workers and the plugin servers of before a reload.
func (g *Gateway) retire(workers []*worker, processes []*serverProcess) {
	replaced := time.NewTimer(overlap)
	defer replaced.Stop()
	for _, w := range workers {
		w.close(g.ending)
	}
	if len(processes) == 0 {
		return
	}
	select {
	case <-replaced.C:
	case <-g.ending.Done():
	}
	for _, p := range processes {
		p.close()
	}
}

// prepared is what a reload needs, checked.
type prepared struct {
	loader   *declarative.Loader
	handlers []*handler
	config   *declarative.Config
	hash     string
}

func (g *Gateway) prepare() (prepared, error) {
	var next prepared
	external, err := g.queryAll()
	if err != nil {
		return next, err
	}
	enabled := g.enabled(external)
	dumped := map[string]json.RawMessage{}
	for _, p := range external {
		dumped[p.name] = p.schema
		g.warnOfPhases(&p)
	}
	if next.loader, err = declarative.NewLoaderFor(g.flavor, enabled, dumped); err != nil {
		return next, err
	}
	next.handlers = g.newHandlers(enabled, external)
	next.config, next.hash, err = g.loadFile(next.loader)
	if err != nil {
		return next, fmt.Errorf("error parsing declarative config file %s:\n%w", g.DeclarativeConfig, err)
	}
	return next, nil
}

// emptyConfig is that of a gateway without a declarative file.
const emptyConfig = `_format_version: "3.0"`

func (g *Gateway) loadFile(loader *declarative.Loader) (*declarative.Config, string, error) {
	text := []byte(emptyConfig)
	if g.DeclarativeConfig != "" {
		var err error
		if text, err = os.ReadFile(g.DeclarativeConfig); err != nil {
			return nil, "", err
		}
	}
	file, err := declarative.Parse(text)
	if err != nil {
		return nil, "", err
	}
	config, err := loader.Load(file)
	return config, configHash(text), err
}

// warnOfPhases says which of a plugin's phases are not run here.
func (g *Gateway) warnOfPhases(p *externalPlugin) {
	for _, phase := range p.phases {
		if !slices.Contains([]string{"access", "preread", "log"}, phase) {
			g.log.kong(levelWarn, "init.lua", "[%s] this gateway does not run the phase %s", p.name, phase)
		}
	}
}

// warnOfUpstreams says which Upstreams are balanced otherwise than they ask for.
func (g *Gateway) warnOfUpstreams(config *declarative.Config) {
	for _, upstream := range config.Upstreams {
		if upstream.Algorithm != "round-robin" {
			g.log.kong(levelWarn, "balancers.lua", "upstream %s: this gateway balances by round-robin, not by %s",
				upstream.Name, upstream.Algorithm)
		}
	}
}

// load goes on with another configuration, in the same workers, as Kong does
// for POST /config.
func (g *Gateway) load(file declarative.File, hash string) (*declarative.Config, error) {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	config, err := g.loader.Load(file)
	if err != nil {
		return nil, err
	}
	g.warnOfUpstreams(config)
	g.current.Store(g.newGeneration(config, hash))
	return config, nil
}

// ProxyAddr is the address of the first proxy listener, or empty.
func (g *Gateway) ProxyAddr() string { return first(g.proxyAddrs) }

// ProxyAddrs are the addresses of all proxy listeners, in the order of the
// options.
func (g *Gateway) ProxyAddrs() []string { return g.proxyAddrs }

// StreamAddrs are the addresses of all listeners for TCP connections.
func (g *Gateway) StreamAddrs() []string { return g.streamAddrs }

// AdminAddr is the address of the first listener of the Admin API, or empty.
func (g *Gateway) AdminAddr() string { return first(g.adminAddrs) }

// AdminAddrs are the addresses of all listeners of the Admin API.
func (g *Gateway) AdminAddrs() []string { return g.adminAddrs }

func first(addresses []string) string {
	if len(addresses) == 0 {
		return ""
	}
	return addresses[0]
}

// track remembers a connection that no http.Server will close, so that Close does.
// It returns false where the gateway is closed.
func (g *Gateway) track(c net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.wasClosed {
		return false
	}
	g.tunnels[c] = struct{}{}
	return true
}

func (g *Gateway) untrack(c net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.tunnels, c)
}

// Close ends the gateway: it stops listening, waits some seconds for the
// requests in flight, and ends the plugin servers that it has started.
func (g *Gateway) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), drainPatience)
	defer cancel()
	for _, listener := range g.listeners {
		_ = listener.Close() // an error says that it was closed before
	}
	g.closeTunnels()
	var errs []error
	for _, server := range g.servers {
		if err := server.Shutdown(ctx); err != nil {
			errs = append(errs, err, server.Close())
		}
	}
	g.end()
	g.reloading.Lock()
	defer g.reloading.Unlock()
	for _, w := range g.workers() {
		w.close(ctx)
	}
	for _, p := range g.processes {
		p.close()
	}
	g.serving.Wait()
	g.transports.close()
	g.files.close()
	return errors.Join(errs...)
}

func (g *Gateway) closeTunnels() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wasClosed = true
	for c := range g.tunnels {
		_ = c.Close()
	}
}
