package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pdk "github.com/Kong/go-pdk"
	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"

	"kong-traffic-split/kong/wire"
	"kong-traffic-split/plugin/state"
)

// A suspect is a connection whose call in flight a process has died with.
type suspect struct {
	fleeting
	name  string
	notes *notes
}

// notes are what suspects note, one after another.
type notes struct {
	mu    sync.Mutex
	lines []string
}

func (n *notes) add(line string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, line)
}

func (n *notes) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	lines := n.lines
	n.lines = nil
	return lines
}

func (s suspect) Resumed() (owed, again, tries int) { return 0, 0, 1 }
func (s suspect) Try()                              { s.notes.add(s.name + " is tried") }
func (s suspect) Spare()                            { s.notes.add(s.name + " is spared") }

func (s *inMemory) suspect(name string, notes *notes) pipe {
	return s.dialFrom(func(sock net.Conn) journal { return suspect{fleeting{sock}, name, notes} })
}

// host is Kong's reply to a question for the host.
var host = wire.AppendFrame(nil, []byte("\x0a\x04host"))

func asksForHost(_ string, kong *pdk.PDK) error {
	_, err := kong.Request.GetHost()
	return err
}

// Where Kong stalls in the middle of a call that a process has died with, others are
// tried meanwhile, and its own death counts only when it is worked on.
func TestASuspectThatWaitsForKongHoldsNobodyUp(t *testing.T) {
	inBubble(t, pluginOf(asksForHost), func(t *testing.T, s *inMemory) {
		id := s.start(startOf(`{}`), 0).id
		var notes notes
		event := eventOf(t, id, "access")
		check := func(want ...string) {
			t.Helper()
			synctest.Wait()
			if got := notes.take(); !slices.Equal(got, want) {
				t.Errorf("noted is %q, want %q", got, want)
			}
		}
		one := s.suspect("one", &notes)
		one.sends(event, 2)
		check("one is tried", "one is spared")
		other := s.suspect("other", &notes)
		other.sends(event, 2)
		check("other is tried", "other is spared")
		other.sends(host, 2)
		check("other is tried", "other is spared")
		time.Sleep(stallTime / 2)
		one.sends(host, 2)
		check("one is tried", "one is spared")
	})
}

// One that is worked on for long, or for ever, has its turn for a while.
func TestASuspectThatDoesNotEndHoldsTheNextUpForAWhile(t *testing.T) {
	var began notes
	release := make(chan struct{})
	plugin := pluginOf(func(string, *pdk.PDK) error {
		began.add(fmt.Sprint(time.Now().Unix()))
		<-release
		return nil
	})
	inBubble(t, plugin, func(t *testing.T, s *inMemory) {
		release = make(chan struct{}) // of this bubble
		id := s.start(startOf(`{}`), 0).id
		start := time.Now()
		const all = 12
		for range all {
			s.suspect("one", new(notes)).sends(eventOf(t, id, "access"), 0)
			synctest.Wait() // so that they come in order
		}
		time.Sleep(turnWait)
		synctest.Wait()
		var want []string
		for i := range 6 {
			want = append(want, fmt.Sprint(start.Add(time.Duration(i)*turnTime).Unix()))
		}
		got := began.take()
		if len(got) != all || !slices.Equal(slices.Compact(got), want) {
			t.Errorf("they begin at %q, want one a second, and all of them at %v", got, want)
		}
		close(release)
	})
}

// A call that another process cannot find in the connection's journal is repeated by
// Kong on another connection. Ten processes die with it, and the next one answers it.
// Those that are as large, and of which none dies, are innocent.
func TestALargeCallThatProcessesDieOfIsNotTriedAgain(t *testing.T) {
	large := strings.Repeat("x", maxKept)
	reply := func(path string) []byte {
		body, err := proto.Marshal(&pb.String{V: path})
		if err != nil {
			t.Fatal(err)
		}
		return wire.AppendFrame(nil, body)
	}
	start := func(config string) []byte {
		return callOf(t, &pb.RpcCall{Sequence: 1, Call: &pb.RpcCall_CmdStartInstance{CmdStartInstance: startOf(config)}})
	}
	for name, fatal := range map[string]func(kong pipe, id int32){
		"a start": func(kong pipe, _ int32) { kong.sends(start(`{"deadly":"`+large+`"}`), 1) },
		"an event": func(kong pipe, id int32) {
			kong.sends(eventOf(t, id, "access"), 2)
			kong.sends(reply("deadly"+large), 2)
		},
	} {
		t.Run(name, func(t *testing.T) {
			saved := new(state.Memory)
			var id int32
			for deaths := 0; ; deaths++ {
				process, die := context.WithCancel(t.Context())
				inBubble(t, mortal(die), func(t *testing.T, s *inMemory) {
					s.State = dying{saved, process}
					if deaths == 0 {
						id = s.start(startOf(`{}`), 0).id
					}
					for i := range 2 {
						kong := s.dial()
						kong.sends(start(fmt.Sprintf(`{"%d":"%s"}`, i, large)), 1)
						kong.sends(eventOf(t, id, "access"), 2)
						kong.sends(reply(fmt.Sprint(i, large)), 2)
					}
					fatal(s.dial(), id)
				})
				died := process.Err() != nil
				die()
				if died != (deaths < maxDeaths) {
					t.Fatalf("after %d deaths it is the death of another one: %v", deaths, died)
				}
				if !died {
					break
				}
			}
			if keys := saved.Keys(deathsPrefix); keys != nil {
				t.Errorf("the saved state has %q in the end", keys)
			}
		})
	}
}

// mortal is a plugin that dies of what is called deadly.
func mortal(die func()) Plugin {
	p := pluginOf(nil)
	p.Start = func(config []byte) (Instance, error) {
		if bytes.Contains(config, []byte("deadly")) {
			die()
		}
		return handler(func(_ string, kong *pdk.PDK) error {
			path, err := kong.Request.GetPath()
			if strings.HasPrefix(path, "deadly") {
				die()
			}
			return errors.Join(err, kong.Log.Warn("so far"))
		}), nil
	}
	return p
}

// What processes before have died with, and nobody has repeated, is forgotten by one
// that lives on.
func TestDeathsAreForgotten(t *testing.T) {
	s := New(pluginOf(nil), quiet)
	s.State.Set(deathsPrefix+"a", []byte("3"))
	s.State.Set(deathsPrefix+"b", []byte("3"))
	if deaths := s.trials.join(deathsPrefix+"b", 0, s.State); deaths != 3 {
		t.Errorf("%d deaths with b", deaths)
	}
	s.sweep()
	if keys := s.State.Keys(""); !slices.Equal(keys, []string{deathsPrefix + "b"}) {
		t.Errorf("the saved state has %q", keys)
	}
}
