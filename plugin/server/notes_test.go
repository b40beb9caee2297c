package server

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"
)

// noted are notes that outlive a server, as the keeper's do.
type noted struct{ sync.Map }

func (n *noted) Get(key string) []byte {
	value, _ := n.Load(key)
	text, _ := value.([]byte)
	return text
}

func (n *noted) Set(key string, value []byte) {
	if value == nil {
		n.Delete(key)
		return
	}
	n.Store(key, value)
}

func (n *noted) Keys(prefix string) (keys []string) {
	n.Range(func(key, _ any) bool {
		if strings.HasPrefix(key.(string), prefix) {
			keys = append(keys, key.(string))
		}
		return true
	})
	return keys
}

// The next process has the instances of the one before it, by their numbers: also
// where Kong, which counts from 1 again after a reload, starts another row's before
// it uses them.
func TestInstancesAreThereInTheNextProcess(t *testing.T) {
	notes := &noted{}
	process := func() *Server {
		s := New(pluginOf(nil), quiet)
		s.Notes = notes
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
