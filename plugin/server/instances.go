package server

import (
	"crypto/sha256"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	pdk "github.com/Kong/go-pdk"
)

const (
	// unusedTime is how long an instance may go without an event before it is dropped.
	// Kong never closes the instances of a row that was deleted; and it starts one
	// that was dropped too early again.
	unusedTime = time.Hour
	// sweepPause is how long it may take until that is seen.
	sweepPause = 5 * time.Minute
)

// An instance is what Kong knows by an id.
type instance struct {
	Instance
	id      int32
	row     string // the id of the plugin row; empty: it is not known
	config  configSum
	starts  int // that were answered with its id, less those that were closed; of instances' lock
	started time.Time
	guard   guard
	used    atomic.Int64 // when the last event came, in Unix nanoseconds
}

// configSum is the sum of what Kong has started an instance with.
type configSum = [sha256.Size]byte

// close closes inst, once no id leads to it. A nil inst is none.
func (inst *instance) close(log *slog.Logger) {
	if inst == nil {
		return
	}
	defer func() {
		if v := recover(); v != nil {
			log.Error("panic while an instance was closed", "panic", printable(v), "stack", string(debug.Stack()))
		}
	}()
	inst.Close()
}

// unstarted is the instance of a config that cannot be used.
type unstarted struct{ err error }

func (u unstarted) Handle(string, time.Time, *pdk.PDK) error { return u.err }
func (u unstarted) Close()                                   {}

// instances are the instances that Kong may use, by id. Safe for concurrent use.
type instances struct {
	mu   sync.RWMutex
	byID map[int32]*instance
	// byConfig has an instance's id by its config. Kong starts one again that it has
	// forgotten, without closing it: it is the same one then, so that there are no more
	// than Kong has configs.
	byConfig map[configSum]int32
}

// find returns the instance called id, or nil.
func (t *instances) find(id int32) *instance {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.byID[id]
}

// again returns the id of the instance of a config, which is started once more at now,
// 0 where there is none.
func (t *instances) again(config configSum, now time.Time) int32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	inst := t.byID[t.byConfig[config]]
	if inst == nil {
		return 0
	}
	inst.starts++
	inst.used.Store(now.UnixNano())
	return inst.id
}

// put puts inst, used now, in the place of the one that was there, which it returns: it
// is nobody's from now on. Nil: there was none.
func (t *instances) put(inst *instance, now time.Time) (replaced *instance) {
	inst.used.Store(now.UnixNano())
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byID == nil {
		t.byID, t.byConfig = map[int32]*instance{}, map[configSum]int32{}
	}
	inst.starts = 1
	if replaced = t.byID[inst.id]; replaced != nil {
		inst.starts = replaced.starts
	}
	t.byID[inst.id], t.byConfig[inst.config] = inst, inst.id
	return replaced
}

// remove removes the instance called id if no other start was answered with it. It
// returns the instance, or nil where there is none, and reports whether it is gone.
func (t *instances) remove(id int32) (inst *instance, gone bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if inst = t.byID[id]; inst == nil {
		return nil, true
	}
	if inst.starts--; inst.starts > 0 {
		return inst, false
	}
	t.delete(inst)
	return inst, true
}

// unused lists the ids of the instances that have not been used for long.
func (t *instances) unused(now time.Time) (ids []int32) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for id, inst := range t.byID {
		if inst.isUnused(now) {
			ids = append(ids, id)
		}
	}
	return ids
}

// drop removes and returns the instance called id, if it has not been used for long.
func (t *instances) drop(id int32, now time.Time) *instance {
	t.mu.Lock()
	defer t.mu.Unlock()
	inst := t.byID[id]
	if inst == nil || !inst.isUnused(now) {
		return nil
	}
	t.delete(inst)
	return inst
}

// delete deletes inst. The caller holds mu.
func (t *instances) delete(inst *instance) {
	delete(t.byID, inst.id)
	if t.byConfig[inst.config] == inst.id {
		delete(t.byConfig, inst.config)
	}
}

func (inst *instance) isUnused(now time.Time) bool {
	return now.UnixNano()-inst.used.Load() > int64(unusedTime)
}

// locks are one lock for each id, so that what takes long with one of them keeps nobody
// from the others. The zero value is ready.
type locks struct {
	mu   sync.Mutex
	held map[int32]chan struct{} // closed when it is free
}

// lock waits for the lock of id, and returns what frees it.
func (l *locks) lock(id int32) (unlock func()) {
	mine := make(chan struct{})
	for {
		l.mu.Lock()
		other := l.held[id]
		if other == nil {
			break
		}
		l.mu.Unlock()
		<-other
	}
	if l.held == nil {
		l.held = map[int32]chan struct{}{}
	}
	l.held[id] = mine
	l.mu.Unlock()
	return func() {
		l.mu.Lock()
		delete(l.held, id)
		l.mu.Unlock()
		close(mine)
	}
}
