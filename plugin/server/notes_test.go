package server

import (
	"fmt"
	"testing"

	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"

	"kong-traffic-split/plugin/state"
)

// The next process has the instances of the one before it, by their numbers: also
// where Kong, which counts from 1 again after a reload, starts another row's before
// it uses them.
func TestInstancesAreThereInTheNextProcess(t *testing.T) {
	saved := new(state.Memory)
	process := func() *Server {
		s := New(pluginOf(nil), quiet)
		s.State = saved
		return s
	}
	row := func(name string) *pb.CmdStartInstance {
		return &pb.CmdStartInstance{Name: "traffic-split", Config: fmt.Appendf(nil, `{"__seq__": 1, "__plugin_id": %q}`, name)}
	}
	s := process()
	if id, _ := s.start(row("former"), 0); id != 1 {
		t.Fatalf("the first instance is %d", id)
	}
	s = process()
	id, _ := s.start(row("latter"), 0)
	if id == 1 {
		t.Error("another row's instance is in the place of the first one")
	}
	for _, s := range []*Server{s, process()} {
		for id, want := range map[int32]string{1: "former", id: "latter"} {
			if inst := s.find(id); inst == nil || inst.row != want {
				t.Errorf("instance %d is %+v, want the one of row %q", id, inst, want)
			}
		}
		if inst := s.find(2); inst != nil {
			t.Errorf("there is an instance 2: %+v", inst)
		}
	}
}
