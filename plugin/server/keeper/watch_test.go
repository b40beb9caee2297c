//go:build linux

package keeper

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// runWatching is run with a keeper that asks its children whether they serve.
func runWatching(t *testing.T) *running {
	t.Helper()
	return run(t, "env", watchEnv+"=1")
}

// tick has a keeper tick once.
func (r *running) tick() {
	r.t.Helper()
	before := strings.Count(r.log.String(), "msg=tick")
	r.signal(syscall.SIGUSR1)
	r.await("a tick", func() error {
		if strings.Count(r.log.String(), "msg=tick") == before {
			return fmt.Errorf("there were %d", before)
		}
		return nil
	})
}

// ask has a keeper ask its child so many times, and waits for the answers.
func (r *running) ask(times int) {
	r.t.Helper()
	for range times {
		before := strings.Count(r.log.String(), "msg=asked")
		r.tick()
		r.await("an answer", func() error {
			if strings.Count(r.log.String(), "msg=asked") == before {
				return fmt.Errorf("there were %d", before)
			}
			return nil
		})
	}
}

// hang ticks for as long as a child may leave a question unanswered.
func (r *running) hang() {
	r.t.Helper()
	for range hangTicks {
		r.tick()
	}
	if strings.Contains(r.log.String(), hangs) {
		r.t.Fatal("it is taken to hang too early")
	}
	r.tick()
	r.logs(hangs)
}

// stop stops a child, with all its threads.
func (p *peer) stop() {
	p.t.Helper()
	if err := syscall.Kill(p.pid, syscall.SIGSTOP); err != nil {
		p.t.Fatal(err)
	}
	stats, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.pid))
	for _, path := range stats {
		for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
			stat, err := os.ReadFile(path)
			if _, state, _ := strings.Cut(string(stat), ") "); err != nil || strings.HasPrefix(state, "T") {
				break
			}
			if time.Now().After(end) {
				p.t.Fatalf("it does not stop: %s", stat)
			}
		}
	}
}

const hangs = "the serving process hangs, and is killed"

func TestAChildThatIsStopped(t *testing.T) {
	r := runWatching(t)
	child := r.ready()
	idle, busy := r.dial(), r.dial()
	idle.send("note")
	idle.answers("note", child, 0)
	busy.send("hold")
	child.says("holding")
	r.ask(2 * hangTicks) // while one call is in flight
	if strings.Contains(r.log.String(), hangs) {
		t.Error("one that answers is taken to hang")
	}
	child.stop()
	idle.send("noted")
	r.hang()
	r.tick() // its time to say where it hangs is over
	child = r.ready()
	busy.answers("hold", child, 1)
	idle.says(fmt.Sprint("kept ", child.pid, " 0")) // it was never read
	r.logs(fmt.Sprint("msg=serves pid=", child.pid))
	r.ask(2 * hangTicks)
	r.signal(syscall.SIGTERM)
	child.says("terminated")
	if code := r.ends(); code != 0 {
		t.Errorf("it ends with %d", code)
	}
	if text := r.log.String(); !strings.Contains(text, "msg=stopping") || strings.Count(text, hangs) != 1 {
		t.Error("it does not stop, or takes the next one to hang")
	}
}

func TestAChildWithADeadlock(t *testing.T) {
	r := runWatching(t)
	child := r.ready()
	first, second := r.dial(), r.dial()
	first.send("deadlock")
	child.says("locked")
	second.send("tell")
	child.says("told")
	pid := child.pid
	r.hang()
	child = r.ready() // it has ended by itself, when it was asked where it hangs
	r.logs("goroutine ")
	first.answers("deadlock", child, 1)
	child.says("told")
	second.answers("tell", child, 1)
	r.signal(syscall.SIGUSR2)
	next := r.ready()
	child.says("hands over")
	want := fmt.Sprintf("%d 0 %d %d", pid, child.pid, next.pid)
	r.await("what is said of who serves", func() error {
		pids := regexp.MustCompile(`msg=serves pid=(\d+)`).FindAllStringSubmatch(r.log.String(), -1)
		var got []string
		for _, pid := range pids {
			got = append(got, pid[1])
		}
		if strings.Join(got, " ") != want {
			return fmt.Errorf("it is %v, want %s", got, want)
		}
		return nil
	})
}

func TestAChildThatIsBusy(t *testing.T) {
	r := runWatching(t)
	child := r.ready()
	kong := r.dial()
	for range 3 {
		kong.send("lock")
		child.says("locked")
		before := strings.Count(r.log.String(), "msg=asked")
		for range hangTicks {
			r.tick()
		}
		child.send("go on")
		kong.answers("lock", child, 0)
		r.await("an answer", func() error {
			if strings.Count(r.log.String(), "msg=asked") == before {
				return fmt.Errorf("there were %d", before)
			}
			return nil
		})
	}
	if strings.Contains(r.log.String(), hangs) {
		t.Error("it is taken to hang")
	}
}

// One that can open no more files cannot be asked, which is no reason to kill it: it
// serves on the connections that it has.
func TestAChildWithoutFilesCannotBeAsked(t *testing.T) {
	r := runWatching(t)
	child := r.ready()
	kong := r.dial()
	kong.send("fill")
	kong.answers("fill", child, 0)
	r.ask(2 * hangTicks)
	r.logs("the serving process has too many open files")
	kong.send("call")
	kong.answers("call", child, 0)
	if strings.Contains(r.log.String(), hangs) {
		t.Error("it is taken to hang")
	}
}

// The counters go on in each child.
func TestDeathsAreCounted(t *testing.T) {
	r := runWatching(t)
	child := r.ready()
	kong := r.dial()
	kong.send("deaths")
	kong.says("deaths 0 0")
	for died := 1; died <= 2; died++ {
		child.kill()
		child = r.ready()
		kong.send("deaths")
		kong.says(fmt.Sprint("deaths ", died, " 0"))
	}
	kong.send("deadlock")
	child.says("locked")
	r.hang()
	child = r.ready()
	kong.answers("deadlock", child, 1)
	kong.send("deaths")
	kong.says("deaths 2 1")
}
