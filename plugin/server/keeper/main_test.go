//go:build linux

package keeper

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Environment of the keeper and the children that this test executable is, too.
const (
	socketEnv  = "KEEPER_TEST_SOCKET"  // of the keeper
	controlEnv = "KEEPER_TEST_CONTROL" // the test's, to which children connect
)

// exitSucceeded is how a keeper of the tests ends that another one has succeeded.
const exitSucceeded = 4

func TestMain(m *testing.M) {
	if path := os.Getenv(controlEnv); path != "" {
		err := runTestProcess(path)
		if errors.Is(err, ErrSucceeded) {
			os.Exit(exitSucceeded)
		}
		if ended, ok := errors.AsType[*exec.ExitError](err); ok {
			os.Exit(max(ended.ExitCode(), 1))
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	_ = flag.Set("test.parallel", "8") // see run
	goleak.VerifyTestMain(m)
}

func runTestProcess(control string) error {
	child, err := Inherited()
	if err != nil {
		return err
	}
	if child == nil {
		path := os.Getenv(socketEnv)
		o := Options{
			Args:             os.Args,
			Listen:           func() (net.Listener, error) { return listen(path) },
			Succession:       path + ".next",
			ListenSuccession: func() (net.Listener, error) { return listen(path + ".next") },
			Early:            []string{"other", "note"},
			Linger:           lingers(),
			afterFunc:        afterSignal(),
			Log:              slog.New(slog.NewTextHandler(os.Stderr, nil)),
		}
		if os.Getenv(watchEnv) != "" {
			watch(&o)
		}
		return Run(o)
	}
	sock, err := net.Dial("unix", control)
	if err != nil {
		return err
	}
	c := &testChild{Child: child, control: sock, orders: bufio.NewReader(sock)}
	return c.run()
}

// A socket takes the place of another one, and is removed by who has it last.
type socket struct {
	*net.UnixListener
	path string
	file os.FileInfo
}

func listen(path string) (net.Listener, error) {
	temp := fmt.Sprint(path, os.Getpid())
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: temp, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	file, err := os.Lstat(temp)
	if err != nil {
		return nil, err
	}
	return &socket{l, path, file}, os.Rename(temp, path)
}

func (s *socket) Close() error {
	if there, err := os.Lstat(s.path); err == nil && os.SameFile(there, s.file) {
		_ = os.Remove(s.path)
	}
	return s.UnixListener.Close()
}

// lingerEnv is set for a keeper that lingers.
const lingerEnv = "KEEPER_TEST_LINGER"

const lingerTime = 61 * time.Second // none of the keeper's own times

func lingers() time.Duration {
	if os.Getenv(lingerEnv) == "" {
		return 0
	}
	return lingerTime
}

// watchEnv is set for a keeper that asks its children whether they serve.
const watchEnv = "KEEPER_TEST_WATCH"

// hangTicks is how many ticks such a child may not answer.
const hangTicks = 5

// watch has a keeper ask its children, and log what happens.
func watch(o *Options) {
	o.HangTime = hangTicks * tickPause
	o.Probe = func(sock net.Conn) error {
		_, err := fmt.Fprintln(sock, "alive")
		if err == nil {
			_, err = bufio.NewReader(sock).ReadString('\n')
		}
		return err
	}
	o.asked = func() { o.Log.Info("asked") }
	o.Serving = func(pid int) { o.Log.Info("serves", "pid", pid) }
	o.Stopping = func() { o.Log.Info("stopping") }
	o.Living = func() { o.Log.Info("tick") }
}

// afterSignal is for time.AfterFunc: the time of everything that waits is over at
// SIGUSR1, but for that of a stop, which is at SIGWINCH.
func afterSignal() func(time.Duration, func()) *time.Timer {
	over := make(chan os.Signal, 2)
	signal.Notify(over, syscall.SIGUSR1, syscall.SIGWINCH)
	var mu sync.Mutex
	waiting := map[os.Signal][]func(){}
	go func() {
		for s := range over {
			mu.Lock()
			due := waiting[s]
			waiting[s] = nil
			mu.Unlock()
			for _, f := range due {
				f()
			}
		}
	}()
	return func(d time.Duration, f func()) *time.Timer {
		s := syscall.SIGUSR1
		if d == stopTime {
			s = syscall.SIGWINCH
		}
		mu.Lock()
		defer mu.Unlock()
		waiting[s] = append(waiting[s], f)
		if d == lingerTime {
			fmt.Fprintln(os.Stderr, "lingering") // what it is told from now on is another time
		}
		return nil
	}
}

// A testChild answers lines with what was asked, its process id and how many have
// died with that line in flight. It tells the test what it does, and does what the
// test orders.
type testChild struct {
	*Child
	control net.Conn
	orders  *bufio.Reader
	conns   []net.Conn
	serving sync.WaitGroup

	files []*os.File // that are open for nothing

	mu      sync.Mutex
	leaving bool // no call is taken up any more
}

func (c *testChild) say(text string) { _, _ = fmt.Fprintln(c.control, text) }

func (c *testChild) order() string {
	line, _ := c.orders.ReadString('\n')
	return strings.TrimSuffix(line, "\n")
}

func (c *testChild) run() error {
	c.say(fmt.Sprint(os.Getpid()))
	order := c.order() // without one it hangs
	for ; order == "early" || order == "note" || order == "notify"; order = c.order() {
		switch order {
		case "early":
			c.say(string(c.Get("note")))
		case "note":
			c.Set("note", []byte("unready"))
		case "notify":
			c.Notify(func(key string) { c.say("noted " + key) })
			c.say("notified")
		}
	}
	switch order {
	case "ready":
	case "foreign":
		_ = c.link.send(message{kind: ready, number: version + 1})
		select {} // to be killed
	default:
		os.Exit(3)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		for s := range signals {
			c.say(s.String())
			if s != syscall.SIGHUP {
				_ = c.Close()
			}
		}
	}()
	if err := c.Ready(); err != nil {
		return err
	}
	for {
		sock, err := c.Accept()
		if err != nil {
			handsOver := errors.Is(err, errHandOver{})
			c.mu.Lock()
			c.leaving = handsOver // a read that is under way may still bring a call
			c.mu.Unlock()
			for _, sock := range c.conns {
				_ = sock.SetReadDeadline(time.Now())
			}
			if handsOver {
				c.say("hands over")
			}
			c.serving.Wait()
			return nil
		}
		c.conns = append(c.conns, sock)
		c.serving.Go(func() { c.serve(sock.(*Conn)) })
	}
}

// fill opens as many files as this process may.
func (c *testChild) fill() {
	limit := &syscall.Rlimit{Cur: 64, Max: 64}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, limit); err != nil {
		panic(err)
	}
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			return
		}
		c.files = append(c.files, f)
	}
}

func (c *testChild) serve(sock *Conn) {
	r := bufio.NewReader(sock)
	for {
		line, err := r.ReadString('\n')
		if line == "tell\n" { // before it may have to wait
			c.say("told")
		}
		if errors.Is(err, io.EOF) {
			_ = sock.Close()
		}
		c.mu.Lock()
		leaving := c.leaving
		c.mu.Unlock()
		if err != nil || leaving {
			return // otherwise the process ends
		}
		word, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		_, _, tries := sock.Resumed()
		switch {
		case word == "hold" && tries == 0, word == "wait":
			c.say("holding")
			c.order()
		case word == "lock": // what every call needs, until it is told to go on
			c.mu.Lock()
			c.say("locked")
			c.order()
			c.mu.Unlock()
		case word == "deadlock" && tries == 0:
			c.mu.Lock()
			c.say("locked")
			c.mu.Lock() //nolint:staticcheck // as it says
		case word == "fill":
			c.fill()
		case word == "empty":
			for _, f := range c.files {
				_ = f.Close()
			}
		case word == "note":
			c.Set("note", []byte("kept"))
		case word == "noted":
			word = string(c.Get("note"))
		}
		answer := fmt.Sprintln(word, os.Getpid(), tries)
		if word == "deaths" {
			d := DeathsOf(c)
			answer = fmt.Sprintln(word, d.Died, d.Hung)
		}
		if err := sock.Finish([]byte(answer), 0, r.Buffered()); err != nil {
			return
		}
	}
}
