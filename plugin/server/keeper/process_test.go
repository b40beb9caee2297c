//go:build linux

package keeper

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds what a test waits for.
const patience = 30 * time.Second

// running is a keeper that runs, with children that do as the test says.
type running struct {
	t       *testing.T
	cmd     *exec.Cmd
	path    string
	control *net.UnixListener
	log     *logbook
}

// A logbook can be read while it is written.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func run(t *testing.T, args ...string) *running {
	t.Helper()
	t.Parallel() // it waits for processes more than it works
	dir, err := os.MkdirTemp("", "keeper")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	control, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "control")})
	if err != nil {
		t.Fatal(err)
	}
	r := &running{t: t, path: filepath.Join(dir, "socket"), control: control}
	r.start(args...)
	return r
}

// start starts a keeper, by a command with args before its own. The one before it,
// if there is one, goes on.
func (r *running) start(args ...string) {
	t, control := r.t, r.control
	t.Helper()
	log := new(logbook)
	r.log = log
	args = append(args, os.Args[0])
	r.cmd = exec.Command(args[0], args[1:]...)
	r.cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", controlEnv+"="+control.Addr().String(), socketEnv+"="+r.path)
	r.cmd.Stderr = log
	cmd := r.cmd
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // its children end of it
		_ = cmd.Wait()
		_ = control.Close()
		if t.Failed() {
			t.Log(log)
		}
	})
}

// ends waits for the keeper's end, and returns its exit code.
func (r *running) ends() int {
	r.t.Helper()
	late := time.AfterFunc(patience, func() { _ = r.cmd.Process.Kill() })
	defer late.Stop()
	_ = r.cmd.Wait()
	return r.cmd.ProcessState.ExitCode()
}

func (r *running) signal(s syscall.Signal) {
	r.t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		r.t.Fatal(err)
	}
}

// await waits until is returns no error.
func (r *running) await(what string, is func() error) {
	r.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		err := is()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			r.t.Fatalf("%s: %v", what, err)
		}
	}
}

// logs waits for a text in the log.
func (r *running) logs(text string) {
	r.t.Helper()
	r.await("the log", func() error {
		if !strings.Contains(r.log.String(), text) {
			return fmt.Errorf("has nothing like %q", text)
		}
		return nil
	})
}

// A peer is the other end of lines: a child, or who is served.
type peer struct {
	t    *testing.T
	sock net.Conn
	r    *bufio.Reader
	pid  int // of a child
}

func (r *running) peer(sock net.Conn, err error) *peer {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = sock.Close() })
	return &peer{t: r.t, sock: sock, r: bufio.NewReader(sock)}
}

// child waits for the next child, which is not ready yet.
func (r *running) child() *peer {
	r.t.Helper()
	_ = r.control.SetDeadline(time.Now().Add(patience))
	p := r.peer(r.control.Accept())
	var err error
	if p.pid, err = strconv.Atoi(p.line()); err != nil {
		r.t.Fatal(err)
	}
	return p
}

// ready is the next child, and lets it serve.
func (r *running) ready() *peer {
	r.t.Helper()
	p := r.child()
	p.send("ready")
	return p
}

// dial connects to the socket, which is there soon.
func (r *running) dial() *peer {
	r.t.Helper()
	for end := time.Now().Add(patience); ; {
		sock, err := net.Dial("unix", r.path)
		if err == nil || time.Now().After(end) {
			return r.peer(sock, err)
		}
		time.Sleep(time.Millisecond) // nothing tells when a socket is there
	}
}

// soon gives what comes next its time.
func (p *peer) soon() {
	_ = p.sock.SetDeadline(time.Now().Add(patience))
}

func (p *peer) send(line string) {
	p.t.Helper()
	p.soon()
	if _, err := fmt.Fprintln(p.sock, line); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) line() string {
	p.t.Helper()
	p.soon()
	line, err := p.r.ReadString('\n')
	if err != nil {
		p.t.Fatalf("%q, %v", line, err)
	}
	return strings.TrimSuffix(line, "\n")
}

func (p *peer) says(want string) {
	p.t.Helper()
	if got := p.line(); got != want {
		p.t.Fatalf("it says %q, want %q", got, want)
	}
}

// answers checks that a call is answered by a child, after so many deaths.
func (p *peer) answers(call string, by *peer, deaths int) {
	p.t.Helper()
	p.says(fmt.Sprint(call, " ", by.pid, " ", deaths))
}

// ended waits for a clean end, and not a reset, and closes this side as Kong does.
func (p *peer) ended() {
	p.t.Helper()
	p.soon()
	if rest, err := io.ReadAll(p.r); err != nil || len(rest) > 0 {
		p.t.Fatalf("instead of the end: %q, %v", rest, err)
	}
	_ = p.sock.Close()
}

func (p *peer) kill() {
	p.t.Helper()
	if err := syscall.Kill(p.pid, syscall.SIGKILL); err != nil {
		p.t.Fatal(err)
	}
}

func TestChildrenAreKilled(t *testing.T) {
	r := run(t)
	child := r.ready()
	idle, busy := r.dial(), r.dial()
	idle.send("note")
	idle.answers("note", child, 0)
	for range manyDeaths - 5 { // no pause yet
		busy.send("hold")
		child.says("holding")
		child.kill()
		child = r.ready()
		busy.answers("hold", child, 1)
		idle.send("noted")
		idle.answers("kept", child, 0)
	}
}

func TestAnUpgrade(t *testing.T) {
	r := run(t)
	old := r.ready()
	idle, busy := r.dial(), r.dial()
	r.signal(syscall.SIGUSR2)
	next := r.child()
	idle.send("call")
	idle.answers("call", old, 0) // until the next one is ready
	busy.send("wait")
	old.says("holding")
	next.send("ready")
	old.says("hands over")
	old.send("go")
	busy.answers("wait", old, 0)
	old.ended()
	for _, kong := range []*peer{idle, busy, r.dial()} {
		kong.send("call")
		kong.answers("call", next, 0)
	}
}

// The one before it goes on for a while when a child is ready to go on.
func TestAChildIsToldWhatIsSavedMeanwhile(t *testing.T) {
	r := run(t)
	old := r.ready()
	kong := r.dial()
	r.signal(syscall.SIGUSR2)
	next := r.child()
	next.send("notify")
	next.says("notified")
	kong.send("note")
	kong.answers("note", old, 0)
	next.says("noted note")
	next.send("ready")
	old.says("hands over")
}

func TestAnUpgradeThatFails(t *testing.T) {
	for _, order := range []string{"foreign", "fail"} {
		t.Run(order, func(t *testing.T) {
			r := run(t)
			old := r.ready()
			kong := r.dial()
			r.signal(syscall.SIGUSR2)
			next := r.child()
			next.send(order)
			next.ended()
			kong.send("call")
			kong.answers("call", old, 0)
			old.kill()
			kong.send("call")
			child := r.ready()
			if got := kong.line(); !strings.HasPrefix(got, fmt.Sprint("call ", child.pid)) {
				t.Errorf("then it is answered with %q, want one of %d", got, child.pid)
			}
		})
	}
}

// What a child saves counts from when it is ready: before, another one may have to go
// on without it.
func TestValuesOfAChildThatIsNotReady(t *testing.T) {
	for order, want := range map[string]string{"ready": "unready ", "foreign": "kept ", "fail": "kept "} {
		t.Run(order, func(t *testing.T) {
			r := run(t)
			serving := r.ready()
			kong := r.dial()
			kong.send("note")
			kong.answers("note", serving, 0)
			r.signal(syscall.SIGUSR2)
			next := r.child()
			next.send("note")
			next.send(order)
			if order == "ready" {
				serving.says("hands over")
				serving.ended()
				serving = next
				kong.send("call") // by then the keeper knows
				kong.answers("call", next, 0)
			} else {
				next.ended()
			}
			serving.kill()
			kong.send("noted")
			r.ready()
			if got := kong.line(); !strings.HasPrefix(got, want) {
				t.Errorf("the child after it has %q saved, want %q", got, want)
			}
		})
	}
}

func TestAnUpgradeThatHangs(t *testing.T) {
	r := run(t)
	old := r.ready()
	kong := r.dial()
	r.signal(syscall.SIGUSR2)
	hanging := r.child()
	r.signal(syscall.SIGUSR1) // the time of the old one is over, too: it is ready
	hanging.ended()
	kong.send("call")
	kong.answers("call", old, 0)
	r.logs("the upgrade fails, the old executable goes on")
	r.signal(syscall.SIGUSR2)
	next := r.ready()
	old.says("hands over")
	old.ended() // until then it may read a call still, and pass it on
	kong.send("call")
	kong.answers("call", next, 0)
}

func TestAChildAfterADeathHangs(t *testing.T) {
	r := run(t)
	child := r.ready()
	kong := r.dial()
	kong.send("hold")
	child.says("holding")
	child.kill()
	hanging := r.child()
	r.signal(syscall.SIGUSR1)
	hanging.ended()
	next := r.ready()
	kong.answers("hold", next, 1)
}

func TestAFirstChildThatHangs(t *testing.T) {
	r := run(t)
	r.child()
	r.signal(syscall.SIGUSR1)
	if code := r.ends(); code != 1 {
		t.Errorf("the keeper ends with %d", code)
	}
	r.logs("the serving process was not ready within 30s")
}

// What it says at its last moment does not count.
func TestAChildIsReadyTooLate(t *testing.T) {
	k, p := &keeper{}, &process{overdue: true}
	k.next = p
	if k.handleReady(p, version); p.ready {
		t.Error("it is ready")
	}
}

// The time of one that has died is over, too, which is no other's business.
func TestTheTimeOfADeadChild(t *testing.T) {
	k := &keeper{serving: &process{}, next: &process{}}
	k.killUnready(&process{}) // which would have to be there to be killed
	if k.serving.overdue || k.next.overdue {
		t.Error("another one is killed")
	}
}

func TestTheOldOneDiesDuringAnUpgrade(t *testing.T) {
	r := run(t)
	old := r.ready()
	kong := r.dial()
	kong.send("hold")
	old.says("holding")
	r.signal(syscall.SIGUSR2)
	next := r.child()
	old.kill()
	another := r.child() // of the old executable, until the next one is ready
	next.send("ready")
	another.send("ready")
	if got := kong.line(); !strings.HasPrefix(got, "hold ") {
		t.Errorf("the call in flight is answered with %q", got)
	}
	another.says("hands over")
	another.ended()
	kong.send("call")
	kong.answers("call", next, 0)
}

// handingOver is a keeper in an upgrade, when the next child is ready and the old one
// still has a call in flight.
func handingOver(t *testing.T) (r *running, old, next, kong *peer) {
	r = run(t)
	old, kong = r.ready(), r.dial()
	kong.send("wait")
	old.says("holding")
	r.signal(syscall.SIGUSR2)
	next = r.ready()
	old.says("hands over")
	return r, old, next, kong
}

func TestTheNextOneDiesWhenItIsReady(t *testing.T) {
	r, old, next, kong := handingOver(t)
	next.kill()
	old.send("go")
	kong.answers("wait", old, 0)
	kong.send("call")
	kong.answers("call", r.ready(), 0)
}

func TestAnUpgradeAtABadMoment(t *testing.T) {
	r := run(t)
	first := r.child()
	r.signal(syscall.SIGUSR2) // nothing serves yet
	first.send("ready")
	kong := r.dial()
	r.signal(syscall.SIGUSR2)
	next := r.child()
	r.signal(syscall.SIGUSR2) // one is under way
	next.send("ready")
	first.says("hands over")
	first.ended()
	kong.send("call")
	kong.answers("call", next, 0)
	r.signal(syscall.SIGTERM)
	next.says("terminated")
	if code := r.ends(); code != 0 {
		t.Errorf("it ends with %d", code)
	}
	if !strings.Contains(r.log.String(), "at a bad moment") { // once or twice: signals may become one
		t.Error("no upgrade is refused")
	}
}

// More than may be open wait to be accepted, and none is reset.
func TestManyConnectionsAndFewFiles(t *testing.T) {
	const files, most = 64, (64 - ownFiles) / 2
	r := run(t, "sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$0"`, files))
	child := r.ready()
	var all []*peer
	for range 3 * most {
		kong := r.dial()
		kong.send("call")
		all = append(all, kong)
	}
	for i, kong := range all {
		if got := kong.line(); !strings.HasPrefix(got, "call ") {
			t.Fatalf("call %d is answered with %q", i, got)
		}
		if i == most/2 { // all that are held are handed over at the same time
			child.kill()
			child = r.ready()
		}
		kong.send("call")
		kong.answers("call", child, 0)
		_ = kong.sock.Close()
	}
	r.logs(fmt.Sprintf("others have to wait; does the process need more open files (ulimit -n)?\" places=%d", most))
}

func TestAStopBeforeTheFirstChildIsReady(t *testing.T) {
	r := run(t)
	child := r.child()
	r.signal(syscall.SIGTERM)
	child.ended()
	if code := r.ends(); code != 0 || r.log.String() != "" {
		t.Errorf("it ends with %d, and says %q", code, r.log)
	}
}

func TestAStopDuringAnUpgrade(t *testing.T) {
	r := run(t)
	old := r.ready()
	kong := r.dial()
	kong.send("call")
	kong.answers("call", old, 0)
	r.signal(syscall.SIGUSR2)
	next := r.child()
	r.signal(syscall.SIGTERM)
	old.says("terminated")
	old.ended()
	next.ended()
	kong.ended()
	if code := r.ends(); code != 0 {
		t.Errorf("it ends with %d", code)
	}
	if strings.Contains(r.log.String(), "the old executable goes on") {
		t.Errorf("it says what is not so")
	}
}

// The one that is replaced is killed when it holds on to a call, which is no failure
// of a server that is told to end meanwhile.
func TestAStopDuringAHandOver(t *testing.T) {
	r, old, next, kong := handingOver(t)
	r.signal(syscall.SIGTERM)
	old.says("terminated")
	next.says("terminated")
	r.signal(syscall.SIGUSR1)
	kong.ended()
	if code := r.ends(); code != 0 {
		t.Errorf("it ends with %d", code)
	}
}

// inTheMiddle is a keeper whose child has saved something and has a call in flight.
func inTheMiddle(t *testing.T) (r *running, child, idle, busy *peer) {
	r = run(t)
	child, idle, busy = r.ready(), r.dial(), r.dial()
	idle.send("note")
	idle.answers("note", child, 0)
	busy.send("hold")
	child.says("holding")
	r.saved("note", "kept")
	return r, child, idle, busy
}

// saved waits until the keeper has a saved value, which comes to it on another way than
// the answer to Kong. It asks as a successor does.
func (r *running) saved(key, want string) {
	r.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		sock, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: r.path + ".next", Net: "unix"})
		if err != nil {
			r.t.Fatal(err)
		}
		l := &link{sock: sock}
		err = l.send(message{kind: ask, key: key})
		answer, failed := l.receive()
		_ = sock.Close()
		if errors.Join(err, failed) == nil && string(answer.value) == want {
			return
		}
		if time.Now().After(end) {
			r.t.Fatalf("%s is not saved", key)
		}
	}
}

// Nor does its successor go without.
func TestAStopBeforeTheSuccessorHasAll(t *testing.T) {
	r, old, idle, busy := inTheMiddle(t)
	former := *r
	r.start()
	next := r.ready()
	old.says("hands over")
	former.signal(syscall.SIGTERM)
	old.says("terminated")
	former.signal(syscall.SIGUSR1)
	if code := former.ends(); code != 0 {
		t.Errorf("the former one ends with %d", code)
	}
	busy.answers("hold", next, 1)
	idle.send("noted")
	idle.answers("kept", next, 0)
}

func TestSignalsArePassedOn(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(s.String(), func(t *testing.T) {
			r := run(t)
			child := r.ready()
			kong := r.dial()
			kong.send("call")
			kong.answers("call", child, 0)
			r.signal(syscall.SIGHUP)
			child.says("hangup")
			r.signal(s)
			child.says(s.String())
			kong.ended()
			if code := r.ends(); code != 0 {
				t.Errorf("after %v it ends with %d", s, code)
			}
			if _, err := os.Lstat(r.path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the socket is still there: %v", err)
			}
		})
	}
}

func TestAFirstChildThatFails(t *testing.T) {
	r := run(t)
	r.child().send("fail")
	if code := r.ends(); code != 3 {
		t.Errorf("the keeper ends with %d, want its child's 3", code)
	}
}

func TestAChildWithoutAKeeperEnds(t *testing.T) {
	r := run(t)
	child := r.ready()
	kong := r.dial()
	kong.send("call")
	kong.answers("call", child, 0)
	r.signal(syscall.SIGKILL)
	child.ended()
	kong.ended()
}

// Kong repeats what ends before its answer, unless that is a reset.
func TestACallThatCannotBeGoneOnWithSeesACleanEnd(t *testing.T) {
	r := run(t)
	child := r.ready()
	kong, other := r.dial(), r.dial()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = fmt.Fprintln(kong.sock, "hold "+strings.Repeat("x", 2*journalSize))
	}()
	child.says("holding")
	<-sent
	child.kill()
	kong.ended()
	child = r.ready()
	other.send("call")
	other.answers("call", child, 0)
}

func TestChildrenThatDieAtOnceArePausedFor(t *testing.T) {
	k := &keeper{}
	var got []time.Duration
	for range 8 {
		k.setPause(&process{})
		got = append(got, k.pause)
	}
	if want := "[100ms 200ms 400ms 800ms 1.6s 3.2s 5s 5s]"; fmt.Sprint(got) != want {
		t.Errorf("pauses of %v, want %s", got, want)
	}
	for range manyDeaths {
		if k.setPause(&process{ready: true}); k.pause != 0 {
			t.Fatalf("a pause of %v after %d deaths", k.pause, len(k.deaths))
		}
	}
	if k.setPause(&process{ready: true}); k.pause != deathPause {
		t.Errorf("a pause of %v after %d deaths", k.pause, len(k.deaths))
	}
}

// A server that takes the socket over has the connections of the one before it, in
// the middle of what was in flight, and the saved state.
func TestAKeeperIsSucceeded(t *testing.T) {
	r, old, idle, busy := inTheMiddle(t)
	former := *r

	r.start()
	next := r.child()
	next.send("early")
	next.says("kept")
	next.send("ready")
	old.says("hands over") // but holds on to the call
	former.signal(syscall.SIGUSR1)
	busy.answers("hold", next, 1)
	idle.send("noted")
	idle.answers("kept", next, 0)
	for _, kong := range []*peer{idle, busy, r.dial()} {
		kong.send("call")
		kong.answers("call", next, 0)
	}

	if code := former.ends(); code != exitSucceeded {
		t.Errorf("the former one ends with %d", code)
	}
	busy.send("call")
	busy.answers("call", next, 0)
	for _, name := range []string{r.path, r.path + ".next"} {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
}
