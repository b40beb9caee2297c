package spec

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// patience is how long a script waits for an event that has to come. It is
// generous, since only a failing script ever waits this long.
const patience = 30 * time.Second

// process is an executable that a script has started.
type process struct {
	cmd   *exec.Cmd
	log   *logbook
	ended chan struct{} // closed when it has ended
}

// start runs an executable whose standard output and standard error go to log.
func start(log *logbook, env []string, path string, args ...string) (*process, error) {
	cmd := exec.Command(path, args...)
	cmd.Env = append(environ(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, log: log, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		_ = cmd.Wait() // how it ended stands in cmd.ProcessState
	}()
	return p, nil
}

// environ is this process's environment without what would configure a gateway.
func environ() []string {
	var env []string
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "KONG_") {
			env = append(env, entry)
		}
	}
	return env
}

// running reports whether the process has not ended.
func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// stop asks the process to end, and ends it where it does not.
func (p *process) stop() error {
	if !p.running() {
		return nil
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // an error says that it has ended
	_ = p.cmd.Process.Signal(syscall.SIGCONT) // it may hang
	select {
	case <-p.ended:
		return nil
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.ended
		return fmt.Errorf("%s did not end within %v of SIGTERM", p.cmd.Path, patience)
	}
}

// awaitLine waits until the process has written something that matches, and
// returns what matched with its groups.
func (p *process) awaitLine(pattern *regexp.Regexp) ([]string, error) {
	var found []string
	err := await(func() bool {
		found = pattern.FindStringSubmatch(p.log.String())
		return found != nil || !p.running()
	})
	if err != nil || found == nil {
		return nil, fmt.Errorf("%s: no %q in its output:\n%s", p.cmd.Path, pattern, p.log)
	}
	return found, nil
}

// errNoEvent says that what a script waited for did not come.
var errNoEvent = fmt.Errorf("it did not come within %v", patience)

// await asks again and again until the answer is yes.
func await(happened func() bool) error {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if happened() {
			return nil
		}
	}
	return errNoEvent
}

// logbook keeps what a process writes. It may be written and read at the same
// time.
type logbook struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write adds to the log.
func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String is everything that was written so far.
func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// lastLines is the part of a log that is shown where a script failed.
func lastLines(log string) string {
	const most = 40
	lines := strings.Split(strings.TrimRight(log, "\n"), "\n")
	if len(lines) > most {
		lines = append([]string{"…"}, lines[len(lines)-most:]...)
	}
	return strings.Join(lines, "\n")
}
