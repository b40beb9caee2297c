package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"

	"kong-traffic-split/kong/wire"
	"kong-traffic-split/spec/bench/kong"
)

// A server is the plugin server under a supervisor, which starts it again whenever it
// ends.
type server struct {
	executable, dir      string
	socket, info, splits string
	status               string        // an address
	restartTime          time.Duration // see Options
	log                  *os.File

	mu       sync.Mutex
	cmd      *exec.Cmd
	stopping bool
	starts   int
	outages  []outage
	problems []string // starts that failed, and starts that took too long until the socket was served
	stopped  chan struct{}
}

// An outage is a while without a server on the socket: from before the end of the
// former one, until the next one has answered.
type outage struct{ began, end time.Time }

// startServer starts the plugin server and its supervisor. Saved state is in the
// folder saved.
func startServer(bin, dir, saved string, restartTime time.Duration) (*server, error) {
	ports, err := kong.FreePorts(1)
	if err != nil {
		return nil, err
	}
	s := &server{
		executable: filepath.Join(bin, "traffic-split"), dir: dir,
		restartTime: restartTime,
		socket:      filepath.Join(dir, "socket"), info: filepath.Join(dir, "info.json"), splits: filepath.Join(dir, "splits.yaml"),
		status: fmt.Sprintf("127.0.0.1:%d", ports[0]), stopped: make(chan struct{}),
	}
	if s.log, err = os.Create(filepath.Join(dir, "traffic-split.log")); err != nil {
		return nil, err
	}
	args := []string{
		"-socket", s.socket, "-info-file", s.info, "-file", s.splits, "-outcomes", "-status-listen", s.status,
		"-state", filepath.Join(saved, "state"),
	}
	if err := s.spawn(args); err != nil {
		return nil, err
	}
	go s.supervise(args)
	return s, kong.Await("the plugin server", func() bool { return answers(s.socket) })
}

func (s *server) spawn(args []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return nil
	}
	s.cmd = exec.Command(s.executable, args...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.starts++
	return s.cmd.Start()
}

// supervise starts the server again whenever it ends, until it is to stop.
func (s *server) supervise(args []string) {
	defer close(s.stopped)
	for {
		s.mu.Lock()
		cmd := s.cmd
		s.mu.Unlock()
		_ = cmd.Wait()
		began := time.Now()
		s.mu.Lock()
		stopping := s.stopping
		s.mu.Unlock()
		if stopping {
			return
		}
		if err := s.spawn(args); err != nil {
			s.addProblem(err.Error())
			return
		}
		if err := kong.Await("the plugin server", func() bool { return answers(s.socket) }); err != nil {
			s.addProblem(err.Error())
		} else if took := time.Since(began); s.restartTime > 0 && took > s.restartTime {
			s.addProblem(fmt.Sprintf("the socket was served %v after the server was started again", took))
		}
		s.mu.Lock()
		for i := range s.outages {
			if s.outages[i].end.IsZero() {
				s.outages[i].end = time.Now()
			}
		}
		s.mu.Unlock()
	}
}

func (s *server) addProblem(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problems = append(s.problems, what)
}

// down begins an outage, which ends when the server answers again, and sends the
// signal that is the reason for it.
func (s *server) down(signal os.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outages = append(s.outages, outage{began: time.Now()})
	return s.cmd.Process.Signal(signal)
}

// isUp reports whether no outage is under way.
func (s *server) isUp() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.outages) == 0 || !s.outages[len(s.outages)-1].end.IsZero()
}

// excuses reports whether a failure falls into an outage: the request began before
// the socket was served again, and ended after it was no longer.
func (s *server) excuses(f failure) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.outages {
		if f.end.After(o.began) && (o.end.IsZero() || f.began.Before(o.end)) {
			return true
		}
	}
	return false
}

// signal sends a signal to the parent process.
func (s *server) signal(signal os.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cmd.Process.Signal(signal)
}

// serving is the process that serves, a child of the server's.
func (s *server) serving() (int, error) {
	s.mu.Lock()
	parent := s.cmd.Process.Pid
	s.mu.Unlock()
	return OnlyChild(parent)
}

// OnlyChild is the one process that another one has started, as Linux tells it.
func OnlyChild(pid int) (int, error) {
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return 0, err
	}
	var all bytes.Buffer
	for _, list := range lists {
		if children, err := os.ReadFile(list); err == nil { // or the thread has ended
			all.Write(children)
		}
	}
	children := strings.Fields(all.String())
	if len(children) != 1 {
		return 0, fmt.Errorf("process %d has the children %v, not one", pid, children)
	}
	return strconv.Atoi(children[0])
}

// replaced waits for another serving process than that one, which answers.
func (s *server) replaced(old int) error {
	return kong.Await("the next serving process", func() bool {
		pid, err := s.serving()
		return err == nil && pid != old && answers(s.socket)
	})
}

func (s *server) stop() error {
	s.mu.Lock()
	s.stopping = true
	err := s.cmd.Process.Signal(syscall.SIGTERM)
	s.mu.Unlock()
	select {
	case <-s.stopped:
	case <-time.After(kong.Patience):
		err = errors.Join(errors.New("the plugin server does not end"), s.cmd.Process.Kill())
	}
	return errors.Join(err, s.log.Close())
}

// answers reports whether a server on the socket answers a call within a moment.
func answers(socket string) bool {
	sock, err := net.DialTimeout("unix", socket, 200*time.Millisecond)
	if err != nil {
		return false
	}
	defer sock.Close()
	_ = sock.SetDeadline(time.Now().Add(500 * time.Millisecond))
	call, err := proto.Marshal(&pb.RpcCall{Sequence: 1, Call: &pb.RpcCall_CmdGetPluginNames{CmdGetPluginNames: &pb.CmdGetPluginNames{}}})
	if err != nil {
		return false
	}
	if _, err := sock.Write(wire.AppendFrame(nil, call)); err != nil {
		return false
	}
	_, err = wire.ReadFrame(sock, nil)
	return err == nil
}

// metrics is what the server shows at the moment; empty where it does not.
func (s *server) metrics(ctx context.Context) string { return s.get(ctx, "/metrics") }

func (s *server) get(ctx context.Context, path string) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.status+path, nil)
	if err != nil {
		return ""
	}
	r.Close = true
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return ""
	}
	defer answer.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(answer.Body); err != nil {
		return ""
	}
	return text.String()
}

// awaitMetric waits until a line of the metrics matches.
func (s *server) awaitMetric(ctx context.Context, line string) error {
	pattern := regexp.MustCompile("(?m)^" + line + "$")
	err := kong.Await("the metric "+line, func() bool {
		found := pattern.MatchString(s.metrics(ctx))
		if !found {
			time.Sleep(50 * time.Millisecond) // to ask more often would be a load of its own
		}
		return found || ctx.Err() != nil
	})
	return errors.Join(err, ctx.Err())
}

var ejectedUntil = regexp.MustCompile(`"ejected_until": ?"([^"]+)"`)

// ejectedUntil is when the one backend that is ejected can be used again.
func (s *server) ejectedUntil(ctx context.Context) (time.Time, error) {
	status := s.get(ctx, "/status")
	m := ejectedUntil.FindAllStringSubmatch(status, -1)
	if len(m) != 1 {
		return time.Time{}, fmt.Errorf("/status has %d ejected backends, not one: %s", len(m), status)
	}
	return time.Parse(time.RFC3339Nano, m[0][1])
}
