package server

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	pdk "github.com/Kong/go-pdk"
	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"
)

const (
	// unused is how long an instance may go without an event before it is dropped.
	// Kong never closes the instances of a row that was deleted; and it starts one
	// that was dropped too early again.
	unused = time.Hour
	// sweepPause is how long it may take until that is seen.
	sweepPause = 5 * time.Minute
)

// firstRandom is the least id that is given to an instance which Kong has not
// numbered. Kong counts from 1.
const firstRandom = 1 << 30

// An instance is what Kong knows by an id.
type instance struct {
	Instance
	id      int32
	row     string // the id of the plugin row, the same for all of Kong's workers; may be empty
	started time.Time
	guard   guard
	used    atomic.Int64 // when the last event came, in Unix nanoseconds
}

// close closes inst, once it is nobody's. A nil inst is none.
func (inst *instance) close(log *slog.Logger) {
	if inst == nil {
		return
	}
	defer func() {
		if v := recover(); v != nil {
			log.Error("panic while an instance was closed", "panic", v, "stack", string(debug.Stack()))
		}
	}()
	inst.Close()
}

// unstarted is the instance of a config that cannot be used.
type unstarted struct{ err error }

func (u unstarted) Handle(string, *pdk.PDK) error { return u.err }
func (u unstarted) Close()                        {}

// instances are the instances that Kong may use, by id. Safe for concurrent use.
type instances struct {
	mu   sync.RWMutex
	byID map[int32]*instance
}

// find returns the instance called id, or nil.
func (t *instances) find(id int32) *instance {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.byID[id]
}

// add adds inst, used now, under id, or under a free one when id is not positive or
// belongs to another row: Kong counts requests' and connections' (http and stream)
// instances each from 1. It returns the id, and the instance of the same row that was
// there, which is nobody's from now on, or nil.
func (t *instances) add(id int32, inst *instance, now time.Time) (int32, *instance) {
	inst.used.Store(now.UnixNano())
	t.mu.Lock()
	defer t.mu.Unlock()
	if other := t.byID[id]; other != nil && other.row != inst.row {
		id = 0
	}
	for random := id <= 0; random; random = t.byID[id] != nil {
		id = firstRandom + rand.Int32N(firstRandom)
	}
	if t.byID == nil {
		t.byID = map[int32]*instance{}
	}
	replaced := t.byID[id]
	inst.id = id
	t.byID[id] = inst
	return id, replaced
}

// sweep removes and returns the instances that have not been used for long.
func (t *instances) sweep(now time.Time) (dropped []*instance) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, inst := range t.byID {
		if now.UnixNano()-inst.used.Load() > int64(unused) {
			dropped = append(dropped, inst)
			delete(t.byID, id)
		}
	}
	return dropped
}

// remove removes and returns the instance called id, or nil.
func (t *instances) remove(id int32) *instance {
	t.mu.Lock()
	defer t.mu.Unlock()
	inst := t.byID[id]
	delete(t.byID, id)
	return inst
}

// start starts the instance of a call that so many processes have died of, and
// returns it with its id: Kong's __seq__, where it takes the place of what was
// there of the same row, or a free one.
func (s *Server) start(cmd *pb.CmdStartInstance, deaths int) (int32, *instance) {
	var row struct {
		Seq int32 `json:"__seq__"`
	}
	if json.Unmarshal(cmd.Config, &row) != nil {
		row.Seq = 0 // Start says what is wrong
	}
	s.find(row.Seq) // what an earlier process has noted is there now, or not at all
	inst := s.startAs(row.Seq, cmd, deaths)
	if text, err := proto.Marshal(cmd); err == nil {
		s.State.Set(noteKey(inst.id), text)
	}
	return inst.id, inst
}

// startAs starts an instance under an id, or under a free one when id is not
// positive.
func (s *Server) startAs(id int32, cmd *pb.CmdStartInstance, deaths int) *instance {
	var row struct {
		ID string `json:"__plugin_id"`
	}
	_ = json.Unmarshal(cmd.Config, &row) // Start says what is wrong
	err := died(deaths)
	var started Instance
	if err == nil {
		started, err = s.startPlugin(cmd)
	}
	if err != nil {
		s.log.Error("an instance cannot be started, its requests get an error",
			"instance", id, "plugin_id", row.ID, "error", err)
		started = unstarted{fmt.Errorf("config: %w", err)}
	}
	now := s.now()
	inst := &instance{Instance: started, row: row.ID, started: now}
	id, replaced := s.instances.add(id, inst, now)
	replaced.close(s.log)
	s.log.Debug("instance started", "instance", id, "plugin_id", row.ID)
	return inst
}

// sweep drops the instances that nobody uses.
func (s *Server) sweep() {
	s.reviving.Lock() // of a note that is about to go
	dropped := s.instances.sweep(s.now())
	for _, inst := range dropped {
		s.State.Set(noteKey(inst.id), nil)
	}
	s.reviving.Unlock()
	for _, inst := range dropped {
		inst.close(s.log)
	}
}

// find returns the instance called id, or nil. One that an earlier process has
// noted is started again.
func (s *Server) find(id int32) *instance {
	if inst := s.instances.find(id); inst != nil {
		return inst
	}
	if s.State.Get(noteKey(id)) == nil {
		return nil
	}
	s.reviving.Lock()
	defer s.reviving.Unlock()
	if inst := s.instances.find(id); inst != nil {
		return inst
	}
	var cmd pb.CmdStartInstance
	if text := s.State.Get(noteKey(id)); text == nil || proto.Unmarshal(text, &cmd) != nil {
		return nil
	}
	return s.startAs(id, &cmd, 0)
}

// reviveAll starts all instances that an earlier process has noted, so that
// those which Kong never uses again are dropped like any other: in the order of their
// numbers, as those of the present config have come last, where Kong has numbered them.
func (s *Server) reviveAll(ctx context.Context) {
	var ids []int32
	for _, key := range s.State.Keys(notePrefix) {
		if id, err := strconv.ParseInt(strings.TrimPrefix(key, notePrefix), 10, 32); err == nil {
			ids = append(ids, int32(id))
		}
	}
	slices.Sort(ids)
	for _, id := range ids {
		if ctx.Err() != nil {
			return
		}
		s.find(id)
	}
}

const notePrefix = "instance/"

func noteKey(id int32) string { return notePrefix + strconv.Itoa(int(id)) }

// startPlugin makes the instance, and an error of a panic.
func (s *Server) startPlugin(cmd *pb.CmdStartInstance) (inst Instance, err error) {
	if cmd.Name != s.plugin.Name {
		return nil, fmt.Errorf("this plugin server is %q, and Kong has started %q on its socket; "+
			"each plugin server needs a socket of its own", s.plugin.Name, cmd.Name)
	}
	defer func() {
		if v := recover(); v != nil {
			s.log.Error("panic while an instance was started", "panic", v, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return s.plugin.Start(cmd.Config)
}
