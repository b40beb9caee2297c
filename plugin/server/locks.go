package server

import "sync"

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
