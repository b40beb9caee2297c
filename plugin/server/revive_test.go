package server

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"

	"kong-traffic-split/plugin/state"
)

func startOf(config string) *pb.CmdStartInstance {
	return &pb.CmdStartInstance{Name: "traffic-split", Config: []byte(config)}
}

// The next process has the instances of the one before it, by their ids, and those of
// an executable that gave out Kong's own numbers.
func TestInstancesAreThereInTheNextProcess(t *testing.T) {
	saved := new(state.Memory)
	process := func() *Server {
		s := New(pluginOf(nil), quiet)
		s.State = saved
		return s
	}
	row := func(name string) *pb.CmdStartInstance {
		return startOf(fmt.Sprintf(`{"__seq__": 1, "__plugin_id": %q}`, name))
	}
	s := process()
	former := s.start(row("former"), 0).id
	saved.Set(instanceKey(1), saved.Get(instanceKey(s.start(row("older"), 0).id)))
	s = process()
	latter := s.start(row("latter"), 0).id
	for _, s := range []*Server{s, process()} {
		for id, want := range map[int32]string{1: "older", former: "former", latter: "latter"} {
			if inst := s.find(id, 0); inst == nil || inst.row != want {
				t.Errorf("instance %d is %+v, want the one of row %q", id, inst, want)
			}
		}
		if inst := s.find(2, 0); inst != nil {
			t.Errorf("there is an instance 2: %+v", inst)
		}
	}
}

// An id that is known is nobody else's, be it in memory or saved.
func TestAnIDThatIsKnownIsNotGivenOut(t *testing.T) {
	s := New(pluginOf(nil), quiet)
	fromTheFirst(s)
	s.instances.put(&instance{Instance: handler(nil), id: firstID}, s.now())
	s.State.Set(instanceKey(firstID+1), []byte{})
	if id := s.start(startOf(`{}`), 0).id; id != firstID+2 {
		t.Errorf("the instance gets the id %d, want %d", id, firstID+2)
	}
}

// As those of Kong's present config are started last, also where the ids have come
// round.
func TestInstancesAreStartedAgainInTheirOrder(t *testing.T) {
	var started []string
	plugin := pluginOf(nil)
	plugin.Start = func(config []byte) (Instance, error) {
		started = append(started, string(config))
		return handler(nil), nil
	}
	saved := new(state.Memory)
	process := func() *Server {
		s := New(plugin, quiet)
		s.State = saved
		s.ids.random = func(below int32) int32 { return below - 3 }
		return s
	}
	s := process()
	for i := range 5 {
		s.start(startOf(fmt.Sprintf(`{"__seq__":%d}`, 9-i)), 0)
	}
	inOrder := slices.Clone(started)
	started = nil
	process().reviveAll(t.Context())
	if !slices.Equal(started, inOrder) {
		t.Errorf("the next process starts %q, want %q", started, inOrder)
	}
	if keys := saved.Keys(revivingKey); keys != nil {
		t.Errorf("%q is left behind", keys)
	}
}

// An instance that processes die of when it is started again is given up like a call:
// by the process after ten that have died with it, and the next one does not know it.
func TestAnInstanceThatProcessesDieOfIsGivenUp(t *testing.T) {
	saved := new(state.Memory)
	deadly := ""
	process := func() *Server {
		plugin := pluginOf(nil)
		plugin.Start = func(config []byte) (Instance, error) {
			if string(config) == deadly {
				panic(deadly) // all the way, see below
			}
			return handler(nil), nil
		}
		s := New(plugin, quiet)
		s.State = saved
		return s
	}
	s := process()
	first := s.start(startOf(`{"__seq__":1}`), 0).id
	bad := s.start(startOf(`{"__seq__":2}`), 0).id
	last := s.start(startOf(`{"__seq__":3}`), 0).id
	deadly = `{"__seq__":2}`

	deaths := 0
	for ; deaths < 2*maxDeaths && saved.Get(instanceKey(bad)) != nil; deaths++ {
		s = process()
		start := s.plugin.Start
		ctx, die := context.WithCancel(t.Context())
		s.State = dying{saved, ctx}
		s.plugin.Start = func(config []byte) (Instance, error) {
			if string(config) == deadly {
				die() // what follows is not saved
			}
			return start(config)
		}
		s.reviveAll(ctx)
		die()
	}
	if deaths != maxDeaths+1 {
		t.Errorf("%d processes have started it, and it should be given up after %d", deaths-1, maxDeaths)
	}
	for id, known := range map[int32]bool{first: true, bad: false, last: true} {
		if inst := process().find(id, 0); (inst != nil) != known {
			t.Errorf("instance %d is %+v in the next process", id, inst)
		}
	}
}

// A dying store takes nothing any more once its process is dead.
type dying struct {
	state.Store
	dead context.Context
}

func (d dying) Set(key string, value []byte) {
	if d.dead.Err() == nil {
		d.Store.Set(key, value)
	}
}

// A call that processes die of is refused where its instance is not there yet, and
// nobody else is: the instance is started for the next call.
func TestACallThatIsRefusedIsNotItsInstancesFault(t *testing.T) {
	saved := new(state.Memory)
	s := New(pluginOf(nil), quiet)
	s.State = saved
	id := s.start(startOf(`{"__seq__":1}`), 0).id
	next := New(pluginOf(nil), quiet)
	next.State = saved
	if inst := next.find(id, maxDeaths); inst == nil || inst.Handle("access", time.Now(), nil) == nil {
		t.Errorf("the call is not refused: %+v", inst)
	}
	if _, refuses := next.find(id, 0).Instance.(unstarted); refuses {
		t.Error("the next call is refused, too")
	}
}

// What nobody uses any more is not saved: the next process does not know it.
func TestAnInstanceThatIsGoneIsNotSaved(t *testing.T) {
	for name, end := range map[string]func(*Server, int32){
		"closed": func(s *Server, id int32) { s.closeInstance(id) },
		"unused": func(s *Server, _ int32) {
			began := s.now()
			s.now = func() time.Time { return began.Add(unusedTime + time.Second) }
			s.sweep()
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := New(pluginOf(nil), quiet)
			id := s.start(startOf(`{}`), 0).id
			if s.State.Get(instanceKey(id)) == nil {
				t.Fatal("before, the instance is not saved")
			}
			end(s, id)
			if text := s.State.Get(instanceKey(id)); text != nil {
				t.Errorf("%q stays saved", text)
			}
			next := New(pluginOf(nil), quiet)
			next.State = s.State
			if inst := next.find(id, 0); inst != nil {
				t.Errorf("the next process has %+v", inst)
			}
		})
	}
}
