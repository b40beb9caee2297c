package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"kong-traffic-split/spec/bench/kong"
)

// A fault is something that happens to a run. It returns when what follows from it
// has been seen, or with what is wrong.
type fault struct {
	name   string
	weight int // how often it happens, relative to the others
	do     func(r *run, ctx context.Context) error
}

// faults are all that may happen while requests are sent.
var faults = []fault{
	{"the serving process is killed", 6, (*run).killServing},
	{"the parent is killed", 2, (*run).killParent},
	{"the server is restarted", 2, (*run).restart},
	{"the server is upgraded", 3, (*run).upgrade},
	{"the serving process hangs for a moment", 2, (*run).hang},
	{"SIGHUP", 1, (*run).hangup},
	{"a second server is started by mistake", 1, (*run).secondServer},
	{"strangers connect", 1, (*run).strangers},
	{"other weights in Kong", 6, (*run).otherConfig},
	{"a config that only the plugin can refuse", 2, (*run).brokenConfig},
	{"a config that Kong refuses", 1, (*run).refusedConfig},
	{"other weights in the split file", 6, (*run).otherSplits},
	{"a split file that is wrong", 2, (*run).brokenSplits},
	{"a split file that lacks the split", 1, (*run).vanishedSplit},
	{"the gateway is reloaded", 2, (*run).reload},
	{"a backend fails until it is ejected", 2, (*run).eject},
	{"the canary fails until it is rolled back", 2, (*run).rollBack},
	{"the ramp begins anew", 2, (*run).newRamp},
	{"the disk is full", 1, (*run).fullDisk},
	{"all is counted exactly", 3, (*run).audit},
}

// disturb records in all ledgers that the server is replaced.
func (r *run) disturb() {
	for _, l := range r.ledgers {
		l.disturb()
	}
}

func (r *run) killServing(context.Context) error {
	old, err := r.server.serving()
	if err != nil {
		return err
	}
	r.disturb()
	if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
		return err
	}
	return r.server.replaced(old)
}

func (r *run) killParent(context.Context) error { return r.down(syscall.SIGKILL) }

func (r *run) restart(context.Context) error { return r.down(syscall.SIGTERM) }

// down ends the server, which its supervisor starts again.
func (r *run) down(signal os.Signal) error {
	r.disturb()
	if err := r.server.down(signal); err != nil {
		return err
	}
	return kong.Await("the server after its restart", r.server.isUp)
}

func (r *run) upgrade(context.Context) error {
	old, err := r.server.serving()
	if err != nil {
		return err
	}
	r.disturb()
	if err := r.server.signal(syscall.SIGUSR2); err != nil {
		return err
	}
	return r.server.replaced(old)
}

func (r *run) hang(context.Context) error {
	pid, err := r.server.serving()
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return err
	}
	time.Sleep(300 * time.Millisecond)
	return syscall.Kill(pid, syscall.SIGCONT)
}

func (r *run) hangup(context.Context) error { return r.server.signal(syscall.SIGHUP) }

// secondServer starts a server on the same socket, as one does to look for an error,
// and ends it. It has to stand by.
func (r *run) secondServer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, r.server.executable, "-socket", r.server.socket)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = kong.Patience
	cmd.Stdout, cmd.Stderr = r.server.log, r.server.log
	if err := cmd.Run(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("the second server: %w", err)
	}
	if !answers(r.server.socket) {
		return errors.New("nobody answers on the socket after a second server has ended")
	}
	return nil
}

// strangers say what is no call of Kong's, or only half of one.
func (r *run) strangers(context.Context) error {
	for i, text := range []string{"\xff\xff\xff\xff", "GET / HTTP/1.1\r\n\r\n", "\x05\x00", "\x05\x00\x00\x00abcde"} {
		sock, err := net.Dial("unix", r.server.socket)
		if err != nil {
			return err
		}
		_, _ = io.WriteString(sock, text)
		if i%2 == 0 {
			defer sock.Close()
		} else {
			_ = sock.Close()
		}
	}
	return nil
}

// weights are random, with one backend that takes nothing now and then.
func (r *run) weights(row string) map[string]int {
	w := map[string]int{}
	for i, name := range backendsOf[row] {
		w[name] = r.random.IntN(10)
		if i == 0 {
			w[name] += 1 + r.random.IntN(200)
		}
	}
	return w
}

// post gives the gateway the configuration, which it has to take.
func (r *run) post(ctx context.Context) error {
	taken, err := r.gateway.post(ctx, r.config.text())
	if err == nil && !taken {
		err = errors.New("the gateway refuses a right configuration")
	}
	return err
}

func (r *run) otherConfig(ctx context.Context) error {
	r.nextConfig()
	return r.post(ctx)
}

// nextConfig has the configuration have other weights.
func (r *run) nextConfig() {
	r.config.revision++
	r.config.weights = r.weights(inline)
	r.ledgers[inline].declare(fmt.Sprint(r.config.revision), sharesOf(r.config.weights))
}

// brokenConfig has a row get a config that only the plugin can refuse: the last good
// one stays in use, and the metrics say so until there is a right one.
func (r *run) brokenConfig(ctx context.Context) error {
	r.config.broken = true
	err := r.post(ctx)
	if err == nil {
		err = r.server.awaitMetric(ctx, `traffic_split_config_error\{.*\} 1`)
	}
	r.config.broken = false
	if err = errors.Join(err, r.otherConfig(ctx)); err != nil {
		return err
	}
	return kong.Await("the end of the config error", func() bool {
		time.Sleep(50 * time.Millisecond)
		return !configError.MatchString(r.server.metrics(ctx))
	})
}

func (r *run) refusedConfig(ctx context.Context) error {
	c := *r.config
	c.weights = map[string]int{"inline-a": -1}
	taken, err := r.gateway.post(ctx, c.text())
	if taken {
		err = errors.New("the gateway takes a negative weight")
	}
	return err
}

// writeSplits replaces the split file at once.
func (r *run) writeSplits(text string) error {
	temp := r.server.splits + ".new"
	if err := os.WriteFile(temp, []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(temp, r.server.splits)
}

// nextSplits is the split file with other weights.
func (r *run) nextSplits() string {
	r.splits++
	w := r.weights(fromFile)
	r.ledgers[fromFile].declare(fmt.Sprint(r.splits), sharesOf(w))
	return r.config.splits(r.splits, w)
}

func (r *run) otherSplits(context.Context) error { return r.writeSplits(r.nextSplits()) }

func (r *run) brokenSplits(ctx context.Context) error {
	const metric = "traffic_split_file_last_reload_successful "
	err := r.writeSplits("splits: {file: {backends: [{host: x, weight: -1}]}}\n")
	if err == nil {
		err = r.server.awaitMetric(ctx, metric+"0")
	}
	if err == nil {
		err = r.killServing(ctx) // the next one has the last good splits too
	}
	if err = errors.Join(err, r.otherSplits(ctx)); err != nil {
		return err
	}
	return r.server.awaitMetric(ctx, metric+"1")
}

// vanishedSplit takes the split out of the file. The row is on a route, so the last
// good one stays in use, and the metrics say so.
func (r *run) vanishedSplit(ctx context.Context) error {
	err := r.writeSplits("splits: {other: {backends: [{host: localhost}]}}\n")
	if err == nil {
		err = r.server.awaitMetric(ctx, `traffic_split_config_error\{.*\} 1`)
	}
	return errors.Join(err, r.otherSplits(ctx))
}

func (r *run) reload(ctx context.Context) error {
	// A real one starts from its file, and may do so only after a while: until then nothing
	// else is to change.
	r.nextConfig()
	if err := os.WriteFile(filepath.Join(r.dir, "kong.yml"), []byte(r.config.text()), 0o644); err != nil {
		return err
	}
	if err := r.gateway.reload(ctx); err != nil {
		return err
	}
	return kong.Await("the configuration in the file", func() bool { return r.ledgers[inline].only(fmt.Sprint(r.config.revision), 50) })
}

// eject has a backend fail until it is ejected. Then it gets nothing, and the others
// its share, until the ejection is over and its share grows back.
func (r *run) eject(ctx context.Context) error {
	l, backend := r.ledgers[passive], r.backends["passive-c"]
	err := l.suspend()
	backend.failing.Store(true)
	err = errors.Join(err, r.server.awaitMetric(ctx, `traffic_split_backend_up\{backend="passive-c",.*\} 0`))
	backend.failing.Store(false)
	seen := time.Now()
	if err == nil {
		err = l.begin("ejected", always(withPassiveC(0)))
		time.Sleep(ejection/2 - time.Since(seen))
		err = errors.Join(err, l.suspend())
	}
	recovery, unknown := r.server.ejectedUntil(ctx)
	if err = errors.Join(err, unknown); err == nil {
		time.Sleep(time.Until(recovery))
		own := sharesOf(passiveWeights)["passive-c"]
		err = l.begin("slow start", func(at time.Time) shares {
			return withPassiveC(own * min(1, at.Sub(recovery).Seconds()/slowStart.Seconds()))
		})
		time.Sleep(time.Until(recovery.Add(slowStart)))
		err = errors.Join(err, l.suspend())
	}
	err = errors.Join(err, r.server.awaitMetric(ctx, `traffic_split_backend_up\{backend="passive-c",.*\} 1`))
	return errors.Join(err, l.begin("healthy", always(sharesOf(passiveWeights))))
}

// withPassiveC are the shares of the row passive where its last backend has this one.
func withPassiveC(c float64) shares {
	return shares{"passive-a": (1 - c) * 2 / 3, "passive-b": (1 - c) / 3, "passive-c": c}
}

// saveTime is longer than it takes until what has changed is in the file of the saved
// state, which is written once a second at most: a parent that is killed before that
// takes it along.
const saveTime = 1500 * time.Millisecond

// rollBack has the canary fail until its ramp is rolled back, which stays so until the
// ramp begins anew.
func (r *run) rollBack(ctx context.Context) error {
	if r.rolledBack {
		return nil
	}
	l, canary := r.ledgers[guarded], r.backends["canary"]
	err := l.suspend()
	canary.failing.Store(true)
	err = errors.Join(err, r.server.awaitMetric(ctx, `traffic_split_ramp_rolled_back\{.*\} 1`))
	canary.failing.Store(false)
	r.rolledBack = true
	time.Sleep(saveTime)
	return errors.Join(err, l.begin("rolled back", always(shares{"stable": 1, "canary": 0})))
}

func (r *run) newRamp(ctx context.Context) error {
	if !r.rolledBack {
		return nil
	}
	l := r.ledgers[guarded]
	err := l.suspend()
	// A worker that has the former ramp still goes on with what that was rolled back to.
	l.declare(fmt.Sprint(r.config.ramp), shares{"stable": 1, "canary": 0})
	r.config.ramp++
	r.config.rampStart = r.began.Add(-time.Hour).Add(time.Duration(r.config.ramp) * time.Second)
	l.declare(fmt.Sprint(r.config.ramp), evenRamp)
	err = errors.Join(err, r.post(ctx), r.server.awaitMetric(ctx, `traffic_split_ramp_rolled_back\{.*\} 0`))
	r.rolledBack = false
	return errors.Join(err, l.begin("ramp", nil))
}

// fullDisk fills the disk of the saved state, has something to be saved, and makes
// room again. Nothing may fail of it, and the metrics say so.
func (r *run) fullDisk(ctx context.Context) error {
	if !r.ownDisk {
		return nil
	}
	const metric = "traffic_split_state_saved "
	ballast := filepath.Join(r.saved, "ballast")
	err := fill(ballast)
	if err == nil {
		err = r.eject(ctx)
	}
	if err == nil {
		err = r.server.awaitMetric(ctx, metric+"0")
	}
	err = errors.Join(err, os.Remove(ballast))
	return errors.Join(err, r.server.awaitMetric(ctx, metric+"1"))
}

// fill writes a file until its disk is full.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for size := 64 << 10; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			return err
		}
	}
	return nil
}

// audit compares counts and shares where nothing is lost or repeated: between two
// moments without a request under way, with configs and files that change meanwhile.
func (r *run) audit(ctx context.Context) error {
	renew := func() (err error) {
		for _, l := range r.ledgers {
			err = errors.Join(err, l.renew())
		}
		return err
	}
	err := r.load.quiet(renew)
	for range 5 {
		err = errors.Join(err, r.otherConfig(ctx), r.otherSplits(ctx))
		time.Sleep(200 * time.Millisecond)
	}
	return errors.Join(err, r.load.quiet(renew))
}
