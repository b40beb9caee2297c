package standin

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"
)

// claimPatience is how long a request waits for another one to start the
// instance that both need.
const claimPatience = 10 * time.Second

// instance is a plugin row's instance in the server, for one worker.
type instance struct {
	turn   chan struct{} // held while it is started
	known  bool          // whether id and seq are set
	id     int32
	seq    int
	plugin string
}

// instances are those that one worker has started, by __plugin_id.
type instances struct {
	mu    sync.Mutex
	byRow map[string]*instance
}

// reset forgets the instances of a plugin. Those that are just being started
// stay.
func (s *instances) reset(plugin string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for row, i := range s.byRow {
		if i.plugin == plugin {
			delete(s.byRow, row)
		}
	}
}

// claim returns a row's instance for the caller alone, until it is released.
func (s *instances) claim(plugin, row string) (*instance, error) {
	patience := time.NewTimer(claimPatience)
	defer patience.Stop()
	for {
		s.mu.Lock()
		i := s.byRow[row]
		if i == nil {
			i = &instance{turn: make(chan struct{}, 1)}
			s.byRow[row] = i
		}
		s.mu.Unlock()
		select {
		case i.turn <- struct{}{}:
		case <-patience.C:
			s.forget(row, i)
			return nil, failed{fmt.Sprintf("Could not claim instance_id for %s (key: %s)", plugin, row)}
		}
		s.mu.Lock()
		current := s.byRow[row] == i
		s.mu.Unlock()
		if current {
			return i, nil
		}
		i.release() // it was reset while we waited
	}
}

func (i *instance) release() { <-i.turn }

func (s *instances) forget(row string, i *instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byRow[row] == i {
		delete(s.byRow, row)
	}
}

// instanceID returns the id of the row's instance, which it starts where there
// is none of the row's present config. One of an older config is closed.
func (w *worker) instanceID(p *externalPlugin, row *pluginRow) (int32, error) {
	i, err := w.instances.claim(p.name, row.plugin.ID)
	if err != nil {
		return 0, err
	}
	defer i.release()
	if i.known && i.seq == row.seq {
		return i.id, nil
	}
	client := w.client(p)
	id, err := startInstance(client, p.name, row)
	if err != nil {
		w.gateway.log.kong(levelError, "plugin.lua:283", "starting instance: %v", err)
		w.instances.forget(row.plugin.ID, i)
		return 0, raised{err.Error()}
	}
	replaced, older := i.id, i.known
	w.instances.mu.Lock()
	i.known, i.id, i.seq, i.plugin = true, id, row.seq, p.name
	w.instances.mu.Unlock()
	if older {
		// Kong ignores an error too.
		_, _ = client.call(&pb.RpcCall{Call: &pb.RpcCall_CmdCloseInstance{
			CmdCloseInstance: &pb.CmdCloseInstance{InstanceId: replaced},
		}}, nil, nil)
	}
	return id, nil
}

// numbered returns a value with its fractions as Kong's JSON has them: with 16 digits, so
// that 0.088 is 0.08799999999999999.
func numbered(value any) any {
	switch v := value.(type) {
	case float64:
		return json.Number(strconv.FormatFloat(v, 'g', 16, 64))
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, value := range v {
			out[key] = numbered(value)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = numbered(v[i])
		}
		return out
	}
	return value
}

func startInstance(client *rpcClient, plugin string, row *pluginRow) (int32, error) {
	config, err := json.Marshal(numbered(row.config))
	if err != nil {
		return 0, err
	}
	returned, err := client.call(&pb.RpcCall{Call: &pb.RpcCall_CmdStartInstance{
		CmdStartInstance: &pb.CmdStartInstance{Name: plugin, Config: config},
	}}, nil, nil)
	if err != nil {
		return 0, err
	}
	status := returned.GetInstanceStatus()
	if status == nil {
		return 0, errors.New("the plugin server returned no instance_status")
	}
	return status.InstanceId, nil
}

// handleEvent has the plugin server run a phase. Where the server ends the
// connection, the instances are started anew and the event is repeated, for as
// long as somebody waits for it.
func (w *worker) handleEvent(x *exchange, p *externalPlugin, row *pluginRow, phase string) error {
	for {
		id, err := w.instanceID(p, row)
		if err == nil {
			_, err = w.client(p).call(&pb.RpcCall{Call: &pb.RpcCall_CmdHandleEvent{
				CmdHandleEvent: &pb.CmdHandleEvent{InstanceId: id, EventName: phase},
			}}, x.answer, x.hold)
		}
		f, ok := errors.AsType[failed](err)
		if !ok {
			return err
		}
		reason := strings.ToLower(f.message)
		if !strings.Contains(reason, "no plugin instance") && !strings.Contains(reason, "closed") {
			x.kongLog(levelError, "pb_rpc.lua:382", "pluginserver error: "+f.message)
			return x.respondError(500, "", nil)
		}
		for _, v := range x.views() {
			v.worker.instances.reset(p.name)
		}
		x.kongLog(levelWarn, "pb_rpc.lua:378", f.message)
		if x.abandoned() {
			return err
		}
	}
}
