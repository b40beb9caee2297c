package standin

import (
	"context"
	"sync"
	"sync/atomic"
)

// A subsystem is one of nginx's, http or stream. Kong runs in each of them on its
// own: a worker of nginx has a Lua VM for each, and each numbers the plugin rows
// from 1.
type subsystem struct {
	workers []*worker
	seq     atomic.Int64 // of plugin rows, over all workers and reloads
}

// A worker stands for one of nginx's in one subsystem: it has connections to the
// plugin servers and instances of its own. Each connection of a client belongs to
// a worker.
type worker struct {
	gateway   *Gateway
	id        int
	instances instances
	clients   map[string]*rpcClient // by plugin

	mu       sync.Mutex
	closing  bool
	requests sync.WaitGroup // in flight, log phases included
}

// newWorkers makes the workers of one subsystem.
func newWorkers(g *Gateway) []*worker {
	all := make([]*worker, g.Workers)
	for i := range all {
		all[i] = newWorker(g, i, g.handlers)
	}
	return all
}

func newWorker(g *Gateway, id int, handlers []*handler) *worker {
	w := &worker{
		gateway: g, id: id,
		instances: instances{byRow: map[string]*instance{}},
		clients:   map[string]*rpcClient{},
	}
	for _, h := range handlers {
		if h.external != nil {
			w.clients[h.name] = &rpcClient{pool: newPool(h.external.server.Socket), log: g.log}
		}
	}
	return w
}

func (w *worker) client(p *externalPlugin) *rpcClient { return w.clients[p.name] }

// enter begins a request, which has to end with requests.Done. It returns false
// where the worker takes no more.
func (w *worker) enter() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closing {
		return false
	}
	w.requests.Add(1)
	return true
}

// close waits for the worker's requests and closes its connections. When ctx
// ends, it waits no longer for the plugin servers.
func (w *worker) close(ctx context.Context) {
	w.mu.Lock()
	w.closing = true
	w.mu.Unlock()
	stop := context.AfterFunc(ctx, w.disconnect)
	w.requests.Wait()
	stop()
	w.disconnect()
}

// disconnect closes all connections to the plugin servers, used ones too.
func (w *worker) disconnect() {
	for _, c := range w.clients {
		c.pool.close()
	}
}
