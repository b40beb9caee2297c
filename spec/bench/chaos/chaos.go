// Package chaos is a long run of the plugin server behind a gateway, under load, while
// all that may happen to it happens: kills, restarts, upgrades, reloads, right and
// wrong configurations and files, ejections, rollbacks, a full disk. It owns the
// load, the faults, and what must hold whatever they are: no request fails, none
// reaches a backend that it does not belong to, every share stays within its bound,
// and each fault shows in the metrics.
package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"
)

// Options are how to run.
type Options struct {
	Duration time.Duration
	Seed     uint64 // of what happens, and in which order
	Kong     string // Kong's executable; empty: the stand-in
	Workers  int
	// RestartTime is how long the socket may be without a server after one was
	// started again; 0: as long as it takes.
	RestartTime time.Duration
	Log         io.Writer // what happens, a line each
}

// A Report is what has happened.
type Report struct {
	Seed     uint64         `json:"seed"`
	Requests map[string]int `json:"requests"` // answered, by row
	Faults   map[string]int `json:"faults"`   // by name
	Starts   int            `json:"starts"`   // of the plugin server
	Excused  int            `json:"excused"`  // requests that failed while the socket was not served
	Problems []string       `json:"problems,omitempty"`
}

// maxProblems is how many a report has at most.
const maxProblems = 50

var configError = regexp.MustCompile(`(?m)^traffic_split_config_error\{.*\} 1$`)

// run is a run under way.
type run struct {
	dir, saved string
	ownDisk    bool // saved is one that can be filled
	began      time.Time
	random     *rand.Rand

	backends map[string]*backend
	server   *server
	gateway  *gateway
	ledgers  map[string]*ledger
	load     *load

	config     *configuration
	splits     int // the split file's revision
	rolledBack bool

	log    io.Writer
	mu     sync.Mutex
	report Report
}

// How many clients a row has, and how long each waits between two requests: enough to
// be always under way, on two cores beside all else.
const (
	clientsPerRow = 2
	clientPause   = 4 * time.Millisecond
)

// Run runs until the duration is over or ctx is done. The error is one of the run
// itself; what the run has found is in the report.
func Run(ctx context.Context, o Options) (report Report, err error) {
	return playAll(ctx, o, faults)
}

func playAll(ctx context.Context, o Options, all []fault) (report Report, err error) {
	dir, err := os.MkdirTemp("", "chaos")
	if err != nil {
		return Report{}, err
	}
	r := &run{
		dir: dir, saved: filepath.Join(dir, "saved"), log: o.Log,
		began: time.Now(), random: rand.New(rand.NewPCG(o.Seed, o.Seed)),
		ledgers: map[string]*ledger{},
		report:  Report{Seed: o.Seed, Requests: map[string]int{}, Faults: map[string]int{}},
	}
	defer func() {
		err = errors.Join(err, r.end())
		if err == nil && len(r.report.Problems) == 0 {
			err = os.RemoveAll(dir)
		} else {
			fmt.Fprintln(r.log, "the logs are in", dir)
		}
		report = r.report
	}()
	if err := r.begin(ctx, o); err != nil {
		return r.report, err
	}
	r.began = time.Now()
	r.play(ctx, all, o.Duration)
	r.judge()
	return r.report, nil
}

// begin starts all that there is, and the load.
func (r *run) begin(ctx context.Context, o Options) (err error) {
	bin := filepath.Join(r.dir, "bin")
	build := exec.CommandContext(ctx, "go", "build", "-o", bin+"/", "kong-traffic-split/cmd/traffic-split", "kong-traffic-split/cmd/splitctl")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	if err := r.mount(); err != nil {
		return err
	}
	if r.backends, err = startBackends(r.problem); err != nil {
		return err
	}
	for row := range backendsOf {
		r.ledgers[row] = newLedger(row, clientsPerRow)
	}
	r.config = &configuration{ports: map[string]int{}, rampStart: r.began.Add(-time.Hour)}
	for name, b := range r.backends {
		r.config.ports[name] = b.port
	}
	r.config.weights = r.weights(inline)
	r.ledgers[inline].declare("0", sharesOf(r.config.weights))
	first := r.nextSplits()
	if err := os.WriteFile(filepath.Join(r.dir, "splits.yaml"), []byte(first), 0o644); err != nil {
		return err
	}
	if r.server, err = startServer(bin, r.dir, r.saved, o.RestartTime); err != nil {
		return err
	}
	r.gateway, err = startGateway(ctx, o, bin, r)
	if err != nil {
		return err
	}
	fixed := map[string]shares{
		tcp:     {"tcp-a": 2. / 3, "tcp-b": 1. / 3},
		guarded: evenRamp,
		passive: sharesOf(passiveWeights),
		missing: {"missing-a": 2. / 3, "missing-b": 1. / 3},
		// Those of the backend that is down are shared like the others.
		retried:  {"retried-a": 2. / 3, "retried-b": 1. / 3},
		mirrored: {"mirrored-a": 1, shadow: 0},
	}
	r.load = newLoad(ctx)
	for row, l := range r.ledgers {
		var due course
		if s, ok := fixed[row]; ok {
			due = always(s)
		}
		if err := l.begin("the whole run", due); err != nil {
			return err
		}
		c := httpClient(r.gateway.proxy, row)
		if row == tcp {
			c = tcpClient(fmt.Sprintf("127.0.0.1:%d", r.gateway.stream), row)
		}
		r.load.send(clientsPerRow, clientPause, c, l)
	}
	return nil
}

// mount makes the folder for saved state a small disk of its own, where this user may
// mount one.
func (r *run) mount() error {
	if err := os.Mkdir(r.saved, 0o700); err != nil {
		return err
	}
	r.ownDisk = exec.Command("mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "chaos", r.saved).Run() == nil
	if !r.ownDisk {
		fmt.Fprintln(r.log, "no disk can be mounted here: a full one is left out")
	}
	return nil
}

// play has one fault happen after another: each of them once, and then any of them
// until the duration is over.
func (r *run) play(ctx context.Context, all []fault, duration time.Duration) {
	once := slices.Clone(all)
	r.random.Shuffle(len(once), func(i, j int) { once[i], once[j] = once[j], once[i] })
	sum := 0
	for _, f := range all {
		sum += f.weight
	}
	for n := 0; n < len(once) || time.Since(r.began) < duration; n++ {
		if ctx.Err() != nil || len(r.report.Problems) >= maxProblems {
			return
		}
		time.Sleep(time.Duration(50+r.random.IntN(400)) * time.Millisecond)
		if n < len(once) {
			r.suffer(ctx, once[n])
			continue
		}
		number := r.random.IntN(sum)
		i := slices.IndexFunc(all, func(f fault) bool {
			number -= f.weight
			return number < 0
		})
		r.suffer(ctx, all[i])
	}
}

// suffer has a fault happen.
func (r *run) suffer(ctx context.Context, f fault) {
	began := time.Now()
	err := f.do(r, ctx)
	fmt.Fprintf(r.log, "%8.2fs %s (%v)\n", began.Sub(r.began).Seconds(), f.name, time.Since(began).Round(time.Millisecond))
	r.report.Faults[f.name]++
	if err != nil && ctx.Err() == nil {
		r.problem(fmt.Sprintf("%s: %v", f.name, err))
	}
}

// judge ends the load, and finds out what has gone wrong.
func (r *run) judge() {
	r.load.stop()
	for row, l := range r.ledgers {
		if err := l.suspend(); err != nil {
			r.problem(err.Error())
		}
		r.report.Requests[row] = l.answers
		if l.answers == 0 {
			r.problem(fmt.Sprintf("row %q had no answer", row))
		}
		for _, f := range l.failed {
			if r.server.excuses(f) {
				r.report.Excused++
			} else {
				r.problem(fmt.Sprintf("row %q, %.2fs to %.2fs: %s", f.row, f.began.Sub(r.began).Seconds(), f.end.Sub(r.began).Seconds(), f.what))
			}
		}
	}
	r.judgeCopies()
	r.report.Starts = r.server.starts
	for _, what := range r.server.problems {
		r.problem(what)
	}
}

// judgeCopies compares the copies with the requests. A server that is replaced may take along
// some that wait to be sent, and begins to count anew.
func (r *run) judgeCopies() {
	l, got := r.ledgers[mirrored], r.backends[shadow].copies.Load()
	due := float64(l.answers) / 2
	if bound := float64(2 + l.clients + (2+l.clients)*l.losses + len(l.failed)); math.Abs(float64(got)-due) > bound {
		r.problem(fmt.Sprintf("the shadow got %d copies where %.1f were due, and the bound is %.0f", got, due, bound))
	}
}

// problem adds what is wrong to the report.
func (r *run) problem(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.report.Problems) < maxProblems {
		r.report.Problems = append(r.report.Problems, what)
		fmt.Fprintln(r.log, "WRONG:", what)
	}
}

// end ends all that runs.
func (r *run) end() (err error) {
	if r.load != nil {
		r.load.stop()
	}
	if r.gateway != nil {
		err = errors.Join(err, r.gateway.stop())
	}
	if r.server != nil {
		err = errors.Join(err, r.server.stop())
	}
	err = errors.Join(err, endBackends(r.backends))
	if r.ownDisk {
		err = errors.Join(err, exec.Command("umount", r.saved).Run())
	}
	return err
}
