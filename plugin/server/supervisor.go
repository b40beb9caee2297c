package server

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// tellTime is how long the supervisor may take to read what it is told: it is at work for
// others too, and whoever tells it has requests to see to.
const tellTime = 100 * time.Millisecond

// A Supervisor is systemd, where that has started this process and wants to know how it
// does (Type=notify, sd_notify(3)), or who speaks like it. Nil: nobody wants to. Its
// methods may be called by several goroutines at once, and wait for tellTime at most.
type Supervisor struct {
	addr net.UnixAddr
	log  *slog.Logger
	// every is how often it has to be told that this process lives; 0: it need not be.
	every time.Duration

	mu     sync.Mutex // held while it is told something, so that all of it comes in order
	pinged time.Time
	state  string // what it is to know
	known  string // what it does
	failed string // why it could not be told last
}

// watchdogLeast is the least time of systemd's watchdog in which a process does what it
// does in one go, such as to hand its connections over to another one.
const watchdogLeast = 20 * time.Second

// SupervisorOf returns the supervisor that the environment names, and takes it out of
// that: it is this process that is supervised, and no other one that it starts. It is to be
// called before any is started.
func SupervisorOf(log *slog.Logger) *Supervisor {
	socket, pid, limit := os.Getenv("NOTIFY_SOCKET"), os.Getenv("WATCHDOG_PID"), os.Getenv("WATCHDOG_USEC")
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"} {
		_ = os.Unsetenv(name)
	}
	if socket == "" {
		return nil
	}
	s := &Supervisor{addr: net.UnixAddr{Name: socket, Net: "unixgram"}, log: log}
	if strings.TrimLeft(socket, "/@") == socket { // an abstract socket begins with @, for Go too
		log.Error("the supervisor cannot be told anything: only paths and abstract sockets are known", "NOTIFY_SOCKET", socket)
		return nil
	}
	if limit == "" || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return s
	}
	usec, err := strconv.ParseUint(limit, 10, 62)
	if err != nil || usec == 0 {
		log.Error("the supervisor's watchdog has no time that is understood, and is not told anything", "WATCHDOG_USEC", limit)
		return s
	}
	timeout := time.Duration(min(usec, uint64(time.Duration(1<<62)/time.Microsecond))) * time.Microsecond
	if timeout < watchdogLeast {
		log.Warn("the supervisor's watchdog may end this server for nothing: give it more time (WatchdogSec)", "timeout", timeout, "least", watchdogLeast)
	}
	s.every = timeout / 3
	return s
}

// Watches reports whether it has to be told that this process lives, see [Supervisor.Ping].
func (s *Supervisor) Watches() bool { return s != nil && s.every > 0 }

// Ready tells it that the server is at work, and how.
func (s *Supervisor) Ready(status string) { s.tell("READY=1", status) }

// Status tells it how the server does.
func (s *Supervisor) Status(status string) { s.tell("", status) }

// Stopping tells it that the server is about to end.
func (s *Supervisor) Stopping() { s.tell("STOPPING=1", "Stops") }

// Ping tells it that this process lives, where it watches and was not told a moment ago,
// and what it could not be told before.
func (s *Supervisor) Ping() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tellState()
	if now := time.Now(); s.every > 0 && (s.pinged.IsZero() || now.Sub(s.pinged) >= s.every) && s.send("WATCHDOG=1") {
		s.pinged = now
	}
}

// tell tells it a state and the status, unless it knows both.
func (s *Supervisor) tell(state, status string) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = strings.TrimPrefix(state+"\nSTATUS="+strings.Join(strings.Fields(printable(status)), " "), "\n")
	s.tellState()
}

// tellState tells it what it is to know. The caller holds mu.
func (s *Supervisor) tellState() {
	if s.state != s.known && s.send(s.state) {
		s.known = s.state
	}
}

// send sends a message, and reports whether it could; why not is logged once. The caller
// holds mu.
func (s *Supervisor) send(text string) bool {
	failed := ""
	if err := s.trySend(text); err != nil {
		failed = err.Error()
	}
	if failed != "" && failed != s.failed {
		s.log.Error("the supervisor cannot be told how this server does, and may end it; trying again", "error", failed)
	}
	s.failed = failed
	return failed == ""
}

func (s *Supervisor) trySend(text string) error {
	sock, err := net.DialUnix("unixgram", nil, &s.addr)
	if err != nil {
		return err
	}
	err = sock.SetWriteDeadline(time.Now().Add(tellTime))
	if err == nil {
		_, err = sock.Write([]byte(text))
	}
	return errors.Join(err, sock.Close())
}
