package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"kong-traffic-split/spec/bench/chaos"
)

// maxMemory is how much resident memory the serving process may have, in KiB, when
// all instances are there. Events and reloads then have the collector let the heap
// grow to twice of what is in use; after that the memory has to stay as it is.
const maxMemory = 60 << 10

// A soak is how long, and with how much, the real plugin server is run to see
// what memory it takes. A part of events or reloads is what is between two looks
// at it.
type soak struct {
	rows, backends, conns int
	events, reloads       int // in all
	parts                 int // of either
	rowsPerReload         int // that are asked for again after a reload
}

// wholeSoak is that of --soak.
var wholeSoak = soak{
	rows: 1000, backends: 16, conns: 8,
	events: 1_000_000, reloads: 10_000, parts: 5, rowsPerReload: 10,
}

// A point is the resident memory after so much of something.
type point struct {
	Instances  int `json:"instances"`
	Events     int `json:"events"`
	Reloads    int `json:"reloads"`
	ServingKiB int `json:"serving_kib"`
	KeeperKiB  int `json:"keeper_kib"`
}

// A soaking is a soak under way.
type soaking struct {
	soak
	server *process
	conns  []*kong
	ids    []int32 // the instance of each row
	now    point
	points []point
}

// run starts the plugin server and returns its memory at each point.
func (s soak) run(ctx context.Context) (points []point, err error) {
	dir, err := os.MkdirTemp("", "soak")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	server, err := startPlugin(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	k := &soaking{soak: s, server: server, ids: make([]int32, s.rows)}
	defer func() {
		for _, c := range k.conns {
			_ = c.sock.Close()
		}
	}()
	for range s.conns {
		c, err := connect(server.socket)
		if err != nil {
			return nil, err
		}
		k.conns = append(k.conns, c)
	}
	err = k.play()
	return k.points, err
}

// startPlugin builds the plugin server and starts it.
func startPlugin(ctx context.Context, dir string) (*process, error) {
	executable := filepath.Join(dir, "traffic-split")
	out, err := exec.CommandContext(ctx, "go", "build", "-o", executable, "kong-traffic-split/cmd/traffic-split").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, out)
	}
	socket := filepath.Join(dir, "socket")
	cmd := exec.CommandContext(ctx, executable, "-socket", socket)
	return run("traffic-split", socket, cmd, func() error { return cmd.Process.Signal(syscall.SIGTERM) })
}

// play does all that the soak is of.
func (k *soaking) play() error {
	if err := k.measureMemory(); err != nil {
		return err
	}
	err := k.share(k.rows, func(c *kong, i int) error { return k.startRow(c, i, int32(i+1), 1) })
	if err != nil {
		return err
	}
	k.now.Instances = k.rows
	for range k.parts {
		if err := errors.Join(k.measureMemory(), k.playEvents(k.events/k.parts)); err != nil {
			return err
		}
	}
	for range k.parts {
		if err := errors.Join(k.measureMemory(), k.playReloads(k.reloads/k.parts)); err != nil {
			return err
		}
	}
	return k.measureMemory()
}

func (k *soaking) playEvents(n int) error {
	k.now.Events += n
	return k.share(n, func(c *kong, i int) error { return c.event(newEvent(k.ids[i%k.rows]), anyCalls) })
}

// playReloads has the configuration change n times. After each, Kong asks for
// some rows again, in turn: it then starts a new instance of the row and closes
// the former one.
func (k *soaking) playReloads(n int) error {
	first := k.rows + k.now.Reloads*k.rowsPerReload
	weight := 2 + k.now.Reloads
	k.now.Reloads += n
	return k.share(n*k.rowsPerReload, func(c *kong, i int) error {
		row := (first + i) % k.rows
		former := k.ids[row]
		if err := k.startRow(c, row, int32(first+i+1), weight+i/k.rowsPerReload); err != nil {
			return err
		}
		return errors.Join(c.event(newEvent(k.ids[row]), anyCalls), c.end(former))
	})
}

// startRow starts the instance called id of a row.
func (k *soaking) startRow(c *kong, row int, id int32, weight int) (err error) {
	type named = map[string]any
	backends := make([]named, k.backends)
	for i := range backends {
		backends[i] = named{
			"name": fmt.Sprintf("backend-%d", i), "host": fmt.Sprintf("backend-%d.of-row-%d.internal", i, row), "port": 8080,
			"weight":          1 + (i+weight)%100,
			"request_headers": named{"set": named{"X-Variant": fmt.Sprint(i)}},
		}
	}
	k.ids[row], err = c.start("traffic-split", named{
		"__seq__": id, "__plugin_id": fmt.Sprintf("00000000-0000-4000-a000-%012d", row),
		"__key__": fmt.Sprintf("plugins:traffic-split:%d:::::", row), "__ws_id": "00000000-0000-4000-a000-ffffffffffff",
		"route_id":        fmt.Sprintf("00000000-0000-4000-b000-%012d", row),
		"response_header": "X-Backend",
		"algorithm":       "smooth",
		"backends":        backends,
	})
	return err
}

// share does n things, by number, each connection its part of them one after
// another.
func (k *soaking) share(n int, do func(c *kong, i int) error) error {
	errs := make([]error, len(k.conns))
	var all sync.WaitGroup
	for first, c := range k.conns {
		all.Go(func() {
			for i := first; i < n && errs[first] == nil; i += len(k.conns) {
				if errs[first] = c.sock.SetDeadline(time.Now().Add(patience)); errs[first] == nil {
					errs[first] = do(c, i)
				}
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// measureMemory records the memory as it is now.
func (k *soaking) measureMemory() (err error) {
	keeper := k.server.cmd.Process.Pid
	if k.now.KeeperKiB, err = resident(keeper); err != nil {
		return err
	}
	serving, err := chaos.OnlyChild(keeper)
	if err != nil {
		return err
	}
	k.now.ServingKiB, err = resident(serving)
	k.points = append(k.points, k.now)
	return err
}
