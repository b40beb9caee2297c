package spec

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// scene is what one script has started and seen.
type scene struct {
	ts      *testscript.TestScript // set while a command runs
	negated bool                   // whether that command has a ! before it
	tb      testing.TB
	bin     string // the folder of the project's executables
	dir     string // of sockets, prefixes and logs; short, as paths of sockets have to be
	workers int

	backends  []*echo
	plugin    *plugin   // nil: the gateway starts it
	gateway   *gateway  // nil: not started yet
	database  *database // nil: the gateway has none
	strangers strangers

	nameServers []*nameServer

	last      answer
	tally     tally
	visitors  visitors
	load      *load
	revisions revisions
	observed  []sample            // by alerts, the last time
	series    []map[string]string // what it made of that
}

type sceneKey struct{}

// newScene prepares the scene of a script.
func newScene(env *testscript.Env, bin string, workers int) (*scene, error) {
	dir, err := os.MkdirTemp("/tmp", "spec")
	if err != nil {
		return nil, err
	}
	return &scene{
		tb: env.T().(testing.TB), bin: bin, dir: dir, workers: workers,
		tally: tally{},
	}, nil
}

// close ends everything that the script has started, and shows the logs where
// the script failed.
func (s *scene) close() {
	if s.load != nil {
		s.load.end()
	}
	s.strangers.end()
	if s.tb.Failed() {
		s.showLogs()
	}
	if s.gateway != nil {
		s.check(s.gateway.stop())
	}
	if s.database != nil {
		s.check(s.database.end())
	}
	if s.plugin != nil {
		s.check(s.plugin.end())
	}
	for _, echo := range s.backends {
		s.check(echo.stop())
	}
	// A server that lingers may open its sockets anew meanwhile.
	s.check(await(func() bool { return os.RemoveAll(s.dir) == nil }))
}

func (s *scene) check(err error) {
	if err != nil {
		s.tb.Error(err)
	}
}

func (s *scene) showLogs() {
	if s.gateway != nil {
		s.tb.Logf("the gateway's log:\n%s", lastLines(s.gateway.log()))
	}
	if s.plugin != nil {
		s.tb.Logf("the plugin server's log:\n%s", lastLines(s.plugin.log.String()))
	}
}

// expand is the content of one of the script's files with the values of its
// variables. Some are moments: $now, $now_minus_30m. {revision} is the number of the split file's revision.
func (s *scene) expand(file string) (string, error) {
	var unknown []string
	now := time.Now()
	text := os.Expand(s.ts.ReadFile(file), func(name string) string {
		value := s.ts.Getenv(name)
		if when := moment(now, name); when != "" {
			value = when
		}
		if value == "" {
			unknown = append(unknown, name)
		}
		return value
	})
	if unknown != nil {
		return "", fmt.Errorf("%s: unknown variables: %s", file, strings.Join(unknown, ", "))
	}
	return strings.ReplaceAll(text, "{revision}", fmt.Sprint(s.revisions.written.Load())), nil
}

// cmdExpand puts the values of variables into files of the script, for commands that read
// these by themselves.
func (s *scene) cmdExpand(args []string) error {
	for _, file := range args {
		text, err := s.expand(file)
		if err != nil {
			return err
		}
		if err := os.WriteFile(s.ts.MkAbs(file), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// moment is the time that a variable's name stands for, empty where it is none.
func moment(now time.Time, name string) string {
	const layout = time.RFC3339
	past, isPast := strings.CutPrefix(name, "now_minus_")
	future, isFuture := strings.CutPrefix(name, "now_plus_")
	switch {
	case name == "now":
		return now.UTC().Format(layout)
	case isPast:
		future = "-" + past
	case !isFuture:
		return ""
	}
	offset, err := time.ParseDuration(future)
	if err != nil {
		return ""
	}
	return now.Add(offset).UTC().Format(layout)
}

// cmdPort finds free ports, each for a variable.
func (s *scene) cmdPort(args []string) error {
	if err := arguments(args, "port variable...", 1, 10); err != nil {
		return err
	}
	for _, name := range args {
		port, err := freePort()
		if err != nil {
			return err
		}
		s.ts.Setenv(name, strconv.Itoa(port))
	}
	return nil
}

// writeFile writes a file of the scene in one step, as a careful editor does,
// and returns its path.
func (s *scene) writeFile(name, text string) (string, error) {
	path := filepath.Join(s.dir, name)
	draft := path + ".draft"
	if err := os.WriteFile(draft, []byte(text), 0o644); err != nil {
		return "", err
	}
	return path, os.Rename(draft, path)
}

// lastPort is the port that freePort gave out last. It starts somewhere else in
// each process, so that two runs at once rarely meet.
var lastPort atomic.Int64

func init() { lastPort.Store(int64(os.Getpid()) * 101) }

// freePort is a port of 127.0.0.1 that nobody listens on. It is below the
// ports that connections leave from, so that none of these takes it before its
// server listens.
func freePort() (int, error) {
	const lowest, count = 10000, 20000
	for range count {
		port := lowest + int(lastPort.Add(1)%count)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("no free port from %d to %d", lowest, lowest+count-1)
}
