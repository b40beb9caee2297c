//go:build linux

package keeper

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// standsBy registers with the keeper, and waits until that knows.
func (r *running) standsBy() *StandBy {
	r.t.Helper()
	var place *StandBy
	before := strings.Count(r.log.String(), "another server stands by")
	r.await("a place to stand by", func() (err error) {
		place, err = Register(r.path + ".next")
		return err
	})
	r.t.Cleanup(func() { _ = place.Close() })
	r.await("that it stands by", func() error {
		if strings.Count(r.log.String(), "another server stands by") == before {
			return os.ErrNotExist
		}
		return nil
	})
	return place
}

// A server that is told to end goes on until one that stands by has taken over: nobody
// finds the place empty.
func TestOneThatStandsByTakesOverBeforeTheEnd(t *testing.T) {
	r := run(t)
	old := r.ready()
	idle := r.dial()
	idle.send("note")
	idle.answers("note", old, 0)
	place := r.standsBy()
	if place.PID != r.cmd.Process.Pid {
		t.Errorf("it stands by for %d, want %d", place.PID, r.cmd.Process.Pid)
	}
	r.signal(syscall.SIGTERM)
	<-place.Turn
	idle.send("call")
	idle.answers("call", old, 0) // until then
	former := *r
	r.start()
	next := r.ready()
	old.says("hands over")
	if code := former.ends(); code != 0 {
		t.Errorf("the former one ends with %d", code)
	}
	<-place.Gone
	for _, kong := range []*peer{idle, r.dial()} {
		kong.send("noted")
		kong.answers("kept", next, 0)
	}
}

// Of those that stand by, one that does not take over is no reason not to end.
func TestOneThatStandsByDoesNotTakeOver(t *testing.T) {
	for name, does := range map[string]func(r *running, first, second *StandBy){
		"is gone, the second one hangs": func(r *running, first, second *StandBy) {
			<-first.Turn
			_ = first.Close()
			<-second.Turn
			r.signal(syscall.SIGUSR1) // its time is over
			r.logs("has not taken over in time")
		},
		"both are gone": func(_ *running, first, second *StandBy) {
			<-first.Turn
			_ = first.Close()
			<-second.Turn
			_ = second.Close()
		},
		"is not waited for": func(r *running, first, _ *StandBy) {
			<-first.Turn
			r.signal(syscall.SIGTERM)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t)
			child := r.ready()
			kong := r.dial()
			first, second := r.standsBy(), r.standsBy()
			r.signal(syscall.SIGTERM)
			does(r, first, second)
			child.says("terminated")
			kong.ended()
			if code := r.ends(); code != 0 {
				t.Errorf("it ends with %d", code)
			}
		})
	}
}

// It is one server's turn at a time: who comes then stands by the one that takes over.
func TestOneThatComesInTheTurnOfAnother(t *testing.T) {
	r := run(t)
	child := r.ready()
	first := r.standsBy()
	r.signal(syscall.SIGTERM)
	<-first.Turn
	late, err := Register(r.path + ".next")
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	select {
	case <-late.Gone:
	case <-late.Turn:
		t.Error("it is two servers' turn")
	}
	_ = first.Close()
	child.says("terminated")
	if code := r.ends(); code != 0 {
		t.Errorf("it ends with %d", code)
	}
}

// One that lingers goes on when it is told to end, until another one comes, which may
// stand by or take over at once; or until its time is over, or it is told again.
func TestOneLingers(t *testing.T) {
	for name, does := range map[string]func(r *running) (taken bool){
		"and another one comes, which stands by": func(r *running) bool {
			<-r.standsBy().Turn
			return true
		},
		"and another one takes over": func(*running) bool { return true },
		"and nobody comes": func(r *running) bool {
			r.signal(syscall.SIGUSR1) // its time is over
			return false
		},
		"and is told again": func(r *running) bool {
			r.signal(syscall.SIGTERM)
			return false
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t, "env", lingerEnv+"=1")
			child := r.ready()
			kong := r.dial()
			r.signal(syscall.SIGTERM)
			r.logs("lingering")
			kong.send("call")
			kong.answers("call", child, 0)
			former := *r
			if does(r) {
				r.start()
				r.ready()
				child.says("hands over")
			} else {
				child.says("terminated")
				kong.ended()
			}
			if code := former.ends(); code != 0 {
				t.Errorf("it ends with %d", code)
			}
		})
	}
}

// The time for another one to come is over: that is nothing to one that has come.
func TestTheLingeringIsOverInATurn(t *testing.T) {
	for name, k := range map[string]*keeper{
		"offered":    {offered: new(link)},
		"taken over": {successor: new(link)},
	} {
		k.afterFunc = time.AfterFunc
		if k.endLingering(); k.ending {
			t.Errorf("%s: it ends all the same", name)
		}
	}
}

// One that has given its place up is not waited for.
func TestOneStandsByNoMore(t *testing.T) {
	r := run(t)
	child := r.ready()
	place := r.standsBy()
	_ = place.Close()
	r.signal(syscall.SIGTERM)
	child.says("terminated")
	if code := r.ends(); code != 0 {
		t.Errorf("it ends with %d", code)
	}
}

// What hangs does not keep a server from ending, which says so.
func TestAStopWithAChildThatHangs(t *testing.T) {
	for _, upgrading := range []bool{false, true} {
		t.Run(fmt.Sprintf("upgrading=%t", upgrading), func(t *testing.T) {
			r := run(t)
			child := r.ready()
			kong := r.dial()
			hanging := child
			if upgrading {
				r.signal(syscall.SIGUSR2)
				hanging = r.child()
			} else {
				kong.send("hold")
				child.says("holding")
				kong.send("call") // which nobody reads: Kong has to see an end, and not a reset
			}
			if err := syscall.Kill(hanging.pid, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			r.signal(syscall.SIGTERM)
			if upgrading {
				child.says("terminated")
				child.ended()
			}
			r.noMore()
			r.signal(syscall.SIGWINCH) // its time is over
			kong.ended()
			if code := r.ends(); code != 1 {
				t.Errorf("it ends with %d", code)
			}
			r.logs("a serving process does not end, and is killed")
		})
	}
}

// noMore waits until the keeper has taken a signal to end: its socket is gone.
func (r *running) noMore() {
	r.t.Helper()
	r.await("the end of the socket", func() error {
		if _, err := os.Lstat(r.path); err == nil {
			return os.ErrExist
		}
		return nil
	})
}
