package file

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kong-traffic-split/plugin/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// watched is a watcher at work, with what it said and what it passed on.
type watched struct {
	*Watcher
	t    *testing.T
	log  lineHandler
	uses chan map[string]*config.Config
}

// watch opens a path and keeps it up to date until the test ends.
func watch(t *testing.T, path string, change func(*Watcher)) *watched {
	t.Helper()
	w := &watched{t: t, log: make(lineHandler, 100), uses: make(chan map[string]*config.Config, 100)}
	var err error
	w.Watcher, err = Open(path, slog.New(w.log), nil, func(splits map[string]*config.Config) { w.uses <- splits })
	check(t, err)
	<-w.uses
	w.logged("INFO splits read")
	w.settle = 10 * time.Millisecond
	if change != nil {
		change(w.Watcher)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		w.Run(ctx)
		close(done)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return w
}

// used waits for splits and says which weights they have.
func (w *watched) used(want string) {
	w.t.Helper()
	select {
	case splits := <-w.uses:
		if got := weightsOf(splits); got != want {
			w.t.Fatalf("got %s, want %s", got, want)
		}
	case <-time.After(20 * time.Second):
		w.t.Fatalf("nothing was read, want %s; the log: %s", want, w.log.rest())
	}
}

// logged waits for a line with this beginning and returns the line.
func (w *watched) logged(beginning string) string {
	w.t.Helper()
	for {
		select {
		case line := <-w.log:
			if strings.HasPrefix(line, beginning) {
				return line
			}
		case <-time.After(20 * time.Second):
			w.t.Fatalf("nothing like %q was logged", beginning)
		}
	}
}

// unused fails the test where splits were passed on.
func (w *watched) unused() {
	w.t.Helper()
	select {
	case splits := <-w.uses:
		w.t.Errorf("got %s, want nothing", weightsOf(splits))
	default:
	}
}

func weightsOf(splits map[string]*config.Config) string {
	var all []string
	for name, c := range splits {
		for _, b := range c.Backends {
			all = append(all, fmt.Sprintf("%s.%s=%d", name, b.Host, b.Weight))
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// lineHandler is a log whose lines a test can wait for.
type lineHandler chan string

func (h lineHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h lineHandler) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h lineHandler) WithGroup(string) slog.Handler            { return h }

func (h lineHandler) Handle(_ context.Context, r slog.Record) error {
	line := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool {
		line += " " + a.String()
		return true
	})
	h <- line
	return nil
}

func (h lineHandler) rest() (lines []string) {
	for {
		select {
		case line := <-h:
			lines = append(lines, line)
		default:
			return lines
		}
	}
}
