package server

import (
	"fmt"
	"slices"
	"testing"
	"time"

	pdk "github.com/Kong/go-pdk"
	"pgregory.net/rapid"

	"kong-traffic-split/plugin/state"
)

// An event reaches its own row, with the config that its worker has, or is told that
// there is no such instance: whatever has become of processes, instances and saved
// state.
func TestAnEventReachesItsOwnRow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHistory(t)
		t.Repeat(map[string]func(*rapid.T){
			"requests":           h.requests,
			"more requests":      h.requests,
			"a reload of Kong's": h.reload,
			"a close":            h.close,
			"an hour passes":     h.sweep,
			"a kill":             h.kill,
			"a restart":          h.restart,
			"a succession":       h.succeed,
		})
		for _, w := range h.workers {
			for row := range w.configs {
				h.request(w, row)
			}
		}
	})
}

const rows = 8

// A named instance knows its config.
type named string

func (named) Handle(string, time.Time, *pdk.PDK) error { return nil }
func (named) Close()                                   {}

// A kongWorker is one of Kong's workers in one of its subsystems, which number their
// instances each from 1.
type kongWorker struct {
	subsystem string
	seq       int
	edition   int           // of Kong's configuration
	configs   []string      // of the rows
	ids       map[int]int32 // by row, of the instances that were started
	old       []int32       // those to be closed
	server    *Server
}

// load has the worker take a configuration, the next one: all rows get new numbers.
func (w *kongWorker) load() {
	for _, id := range w.ids {
		w.old = append(w.old, id)
	}
	w.edition++
	w.ids, w.configs = map[int]int32{}, nil
	for row := range rows {
		w.seq++
		w.configs = append(w.configs,
			fmt.Sprintf(`{"__plugin_id":"%s%d","__seq__":%d,"edition":%d}`, w.subsystem, row, w.seq, w.edition))
	}
}

// anew has the worker be that of a Kong that was started anew.
func (w *kongWorker) anew(server *Server) {
	w.server, w.seq, w.ids, w.old = server, 0, nil, nil
	w.load()
}

// A tree is a keeper: what it saves for its processes.
type tree struct {
	state.Memory
	own   map[string]bool // the keys that a process of its has set
	given []int32         // ids
	knows *tree           // the one before, of which it knows what that has reserved; nil: none
}

func (k *tree) Set(key string, value []byte) {
	k.own[key] = true
	k.Memory.Set(key, value)
}

type history struct {
	t       *rapid.T
	now     time.Time
	workers []*kongWorker
	configs map[int32]string // by id, of all that were ever started

	server  *Server // the present one
	keeper  *tree   // and its
	former  *Server // of the keeper before, that still serves; nil: none
	keepers []*tree // all that there were
	file    []byte  // what is there of the ids that are reserved; nil: nothing
}

func newHistory(t *rapid.T) *history {
	h := &history{t: t, now: time.Unix(1e9, 0), configs: map[int32]string{}}
	h.keep(nil, nil)
	h.server = h.process()
	for _, subsystem := range []string{"http", "stream"} {
		for range 4 {
			w := &kongWorker{subsystem: subsystem}
			w.anew(h.server)
			h.workers = append(h.workers, w)
		}
	}
	return h
}

// process is the next process of the keeper.
func (h *history) process() *Server {
	plugin := pluginOf(nil)
	plugin.Start = func(config []byte) (Instance, error) { return named(config), nil }
	s := New(plugin, quiet)
	keeper := h.keeper
	s.State = keeper
	s.now = func() time.Time { return h.now }
	s.ids.random = func(below int32) int32 { return h.random(keeper, below) }
	return s
}

// random is where ids begin: anywhere, but for those that other keepers' processes give
// out, where nothing but chance keeps them apart.
func (h *history) random(keeper *tree, below int32) int32 {
	base := int32(firstID)
	if id, ok := savedID(keeper, ReservedIDs); ok {
		base = idAfter(id, treeGap)
	}
	offset := rapid.SampledFrom([]int32{0, below / 2, below - 1}).Draw(h.t, "random start")
	for h.isNear(keeper, idAfter(base, int64(offset))) {
		offset = int32((int64(offset) + 3<<20) % int64(below))
	}
	return offset
}

// isNear reports whether an id is not far from one that was given out by another keeper
// than this one, and than that which it knows of.
func (h *history) isNear(keeper *tree, id int32) bool {
	const far = 1 << 16
	for _, other := range h.keepers {
		if other != keeper && other != keeper.knows && slices.ContainsFunc(other.given, func(other int32) bool {
			return idAfter(other, lastID+1+far-int64(id)) < firstID+2*far
		}) {
			return true
		}
	}
	return false
}

func (h *history) worker() *kongWorker {
	return h.workers[rapid.IntRange(0, len(h.workers)-1).Draw(h.t, "worker")]
}

func (h *history) requests(t *rapid.T) {
	w := h.worker()
	for range rapid.IntRange(1, 10).Draw(t, "requests") {
		h.request(w, rapid.IntRange(0, rows-1).Draw(t, "row"))
	}
}

// request sends an event, as Kong does: where it is told that there is no such instance,
// all workers of the subsystem forget theirs, and it starts another one.
func (h *history) request(w *kongWorker, row int) {
	config := w.configs[row]
	for range 3 {
		if _, known := w.ids[row]; !known {
			w.ids[row] = h.start(w.server, config)
		}
		id := w.ids[row]
		if inst := w.server.find(id, 0); inst != nil {
			if got := string(inst.Instance.(named)); got != config {
				h.t.Fatalf("an event for %s reaches %s, by the id %d", config, got, id)
			}
			return
		}
		for _, other := range h.workers {
			if other.subsystem == w.subsystem {
				clear(other.ids)
			}
		}
	}
	h.t.Fatalf("an event for %s is told again and again that there is no such instance", config)
}

// start starts an instance. Its id is nobody else's, and never was.
func (h *history) start(s *Server, config string) int32 {
	id := s.start(startOf(config), 0).id
	switch h.configs[id] {
	case config:
	case "":
		h.configs[id] = config
		keeper := s.State.(*tree)
		keeper.given = append(keeper.given, id)
	default:
		h.t.Fatalf("the id %d of %s is given to %s", id, h.configs[id], config)
	}
	return id
}

// reload gives a worker the next configuration; or all of Kong is started anew.
func (h *history) reload(t *rapid.T) {
	if rapid.IntRange(0, 9).Draw(t, "anew") == 0 {
		for _, w := range h.workers {
			w.anew(h.server)
		}
		return
	}
	h.worker().load()
}

// close closes what a reload has left; not all of it, as rows that are gone are never
// closed.
func (h *history) close(t *rapid.T) {
	w := h.worker()
	for _, id := range w.old {
		if rapid.Bool().Draw(t, "closed") {
			w.server.closeInstance(id)
		}
	}
	w.old = nil
}

func (h *history) sweep(t *rapid.T) {
	h.now = h.now.Add(time.Duration(rapid.IntRange(1, 90).Draw(t, "minutes")) * time.Minute)
	h.server.sweep()
}

// kill has the keeper's next process go on, as an upgrade does.
func (h *history) kill(t *rapid.T) {
	next := h.process()
	h.move(h.server, next)
	if rapid.Bool().Draw(t, "all is started again") {
		next.reviveAll(t.Context())
	}
	h.write(t)
}

// move has those go on with another process that are connected to one.
func (h *history) move(from, to *Server) {
	for _, w := range h.workers {
		if w.server == from {
			w.server = to
		}
	}
	h.server = to
}

// write writes the file, or does not: the disk may be full.
func (h *history) write(t *rapid.T) {
	if rapid.Bool().Draw(t, "the file is written") {
		h.file = h.keeper.Get(ReservedIDs)
	}
}

// follow has another keeper go on, which knows what is reserved from the file or from
// the one before it.
func (h *history) follow(reserved []byte) {
	var knows *tree
	if string(reserved) == string(h.keeper.Get(ReservedIDs)) {
		if knows = h.keeper; len(knows.given) == 0 {
			knows = knows.knows
		}
	}
	h.keep(reserved, knows)
}

func (h *history) keep(reserved []byte, knows *tree) {
	h.keeper = &tree{own: map[string]bool{}, knows: knows}
	if reserved != nil {
		h.keeper.Memory.Set(ReservedIDs, reserved)
	}
	h.keepers = append(h.keepers, h.keeper)
}

// restart ends the keeper as well. The next one has the file, if that is not lost.
func (h *history) restart(t *rapid.T) {
	h.write(t)
	if rapid.IntRange(0, 3).Draw(t, "the file is lost") == 0 {
		h.file = nil
	}
	former := h.former
	h.former = nil
	h.follow(h.file)
	h.move(h.server, h.process())
	h.move(former, h.server)
}

// succeed begins the succession of the keeper by another one. Both serve then: Kong's
// new workers begin with the new one, and those of before go on with the one that they
// are connected to, until that has handed them over.
func (h *history) succeed(t *rapid.T) {
	if h.former != nil {
		h.handOver()
		return
	}
	h.former = h.server
	h.follow(h.keeper.Get(ReservedIDs))
	h.server = h.process()
	for _, w := range h.workers {
		if rapid.Bool().Draw(t, "new") {
			w.anew(h.server)
		}
	}
}

// handOver ends the succession.
func (h *history) handOver() {
	former := h.former.State.(*tree)
	for _, key := range former.Keys("") {
		if !h.keeper.own[key] {
			h.keeper.Memory.Set(key, former.Get(key))
		}
	}
	h.move(h.former, h.server)
	h.former = nil
}
