package server

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"strconv"
	"strings"

	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"
)

// start starts the instance of a call that so many processes have died of, and saves
// it, unless the next process would die of it as well.
func (s *Server) start(cmd *pb.CmdStartInstance, deaths int) *instance {
	text, err := proto.Marshal(cmd)
	config := sha256.Sum256(text)
	id := s.instances.again(config, s.now())
	if id == 0 {
		id = s.ids.next(s.State, s.isKnown)
	}
	inst := s.startAs(id, cmd, config, deaths)
	if err != nil || tooDeadly(deaths) != nil {
		text = nil
	}
	s.State.Set(instanceKey(id), text)
	return inst
}

// isKnown reports whether there is an instance called id, or one is saved.
func (s *Server) isKnown(id int32) bool {
	return s.instances.find(id) != nil || s.State.Get(instanceKey(id)) != nil
}

// startAs starts an instance under an id.
func (s *Server) startAs(id int32, cmd *pb.CmdStartInstance, config configSum, deaths int) *instance {
	err := tooDeadly(deaths)
	var started Instance
	if err == nil {
		started, err = s.startPlugin(cmd)
	}
	now := s.now()
	inst := &instance{Instance: started, id: id, config: config, started: now}
	if row, ok := started.(Row); ok {
		inst.row = shortName(row.PluginID())
	}
	if err != nil {
		inst.Instance, inst.row = unstarted{fmt.Errorf("config: %w", err)}, rowOf(cmd.Config)
		s.log.Error("an instance cannot be started, its requests get an error",
			"instance", id, "plugin_id", inst.row, "error", printable(err))
	}
	s.instances.put(inst, now).close(s.log)
	s.log.Debug("instance started", "instance", id, "plugin_id", inst.row)
	return inst
}

// rowOf returns the id of the plugin row in what Kong has sent for an instance that could
// not be started, and so does not say it; empty: it is not known.
func rowOf(config []byte) string {
	var row struct {
		ID string `json:"__plugin_id"`
	}
	_ = json.Unmarshal(config, &row)
	return shortName(row.ID)
}

// startPlugin makes the instance, and an error of a panic.
func (s *Server) startPlugin(cmd *pb.CmdStartInstance) (inst Instance, err error) {
	if cmd.Name != s.plugin.Name {
		return nil, fmt.Errorf("this plugin server is %q, and Kong has started %q on its socket; "+
			"each plugin server needs a socket of its own", s.plugin.Name, shortName(cmd.Name))
	}
	defer func() {
		if v := recover(); v != nil {
			s.log.Error("panic while an instance was started", "panic", printable(v), "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %s", printable(v))
		}
	}()
	return s.plugin.Start(cmd.Config)
}

// closeInstance closes the instance called id, unless others use it as well. It returns
// nil where there is none.
func (s *Server) closeInstance(id int32) *instance {
	defer s.changing.lock(id)()
	inst, gone := s.instances.remove(id)
	if gone {
		s.State.Set(instanceKey(id), nil)
		inst.close(s.log)
	}
	return inst
}

// sweep drops the instances that nobody uses, and forgets what earlier processes have
// died of: this one has not.
func (s *Server) sweep() {
	s.trials.forget(s.State)
	for _, id := range s.instances.unused(s.now()) {
		s.drop(id)
	}
}

// drop drops the instance called id unless it has been used.
func (s *Server) drop(id int32) {
	defer s.changing.lock(id)()
	if inst := s.instances.drop(id, s.now()); inst != nil {
		s.State.Set(instanceKey(id), nil)
		inst.close(s.log)
	}
}

// find returns the instance called id, for a call that so many processes have died of,
// or nil. One that an earlier process has saved is started again; but not for a call that
// is refused anyway, as it may be of the start that processes die, nor is it to blame for
// the call: that gets an instance of its own, which refuses it.
func (s *Server) find(id int32, deaths int) *instance {
	if inst := s.instances.find(id); inst != nil {
		return inst
	}
	if s.State.Get(instanceKey(id)) == nil {
		return nil
	}
	if err := tooDeadly(deaths); err != nil {
		return &instance{Instance: unstarted{err}, id: id, started: s.now()}
	}
	return s.revive(id)
}

// revive starts the instance called id again; nil: it is not saved.
func (s *Server) revive(id int32) *instance {
	defer s.changing.lock(id)()
	if inst := s.instances.find(id); inst != nil {
		return inst
	}
	var cmd pb.CmdStartInstance
	text := s.State.Get(instanceKey(id))
	if text == nil || proto.Unmarshal(text, &cmd) != nil {
		return nil
	}
	return s.startAs(id, &cmd, sha256.Sum256(text), 0)
}

// reviveAll starts all instances that an earlier process has saved, so that those which
// Kong never uses again are dropped like any other: in the order in which they were
// started first, as those of the present config have come last. One that processes die
// of is forgotten: Kong starts it again where it uses it, and that call is known for what
// it is.
func (s *Server) reviveAll(ctx context.Context) {
	var saved []int32
	for _, key := range s.State.Keys(instancePrefix) {
		if id, err := strconv.ParseInt(strings.TrimPrefix(key, instancePrefix), 10, 32); err == nil {
			saved = append(saved, int32(id))
		}
	}
	reserved, ok := savedID(s.State, treeIDs)
	if !ok {
		reserved = lastID // all are of servers before this one
	}
	sortByAge(saved, reserved)
	var last int32 // that the process before this one has died with
	var deaths int // before that one's
	_, _ = fmt.Sscan(string(s.State.Get(revivingKey)), &last, &deaths)
	for _, id := range saved {
		if ctx.Err() != nil {
			break
		}
		if s.instances.find(id) != nil {
			continue
		}
		had := 0
		if id == last {
			had = deaths + 1
		}
		if err := tooDeadly(had); err != nil {
			s.log.Error("an instance is not started again", "instance", id, "error", err)
			s.State.Set(instanceKey(id), nil)
			continue
		}
		s.State.Set(revivingKey, fmt.Appendln(nil, id, had))
		s.revive(id)
	}
	s.State.Set(revivingKey, nil)
}

// revivingKey has the instance that is being started again, and how many processes have
// died with that.
const revivingKey = "reviving"

const instancePrefix = "instance/"

func instanceKey(id int32) string { return instancePrefix + strconv.Itoa(int(id)) }
