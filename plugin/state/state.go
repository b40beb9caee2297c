// Package state saves what must outlive a process: rollbacks, ejections, the instances
// that Kong knows, the last good configurations. It owns the one interface for that and
// the places where it is kept: this process, the keeper (which implements [Store] in a
// package of its own) and a file. What keys and values mean is up to those who save them.
package state

import (
	"slices"
	"strings"
	"sync"
)

// A Store saves values by key. It is safe for concurrent use.
type Store interface {
	// Get returns what is saved under key, nil where nothing is. The caller must not change
	// it.
	Get(key string) []byte
	// Set saves value under key; nil deletes. The caller must not change it after that.
	Set(key string, value []byte)
	// Keys lists the keys that begin with prefix, in order.
	Keys(prefix string) []string
}

// Memory is a store in memory, which ends with this process. Its zero value is empty and ready.
type Memory struct {
	mu     sync.Mutex
	values map[string][]byte
}

// Get implements [Store].
func (m *Memory) Get(key string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.values[key]
}

// Set implements [Store].
func (m *Memory) Set(key string, value []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case value == nil:
		delete(m.values, key)
	case m.values == nil:
		m.values = map[string][]byte{key: value}
	default:
		m.values[key] = value
	}
}

// Keys implements [Store].
func (m *Memory) Keys(prefix string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var keys []string
	for key := range m.values {
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}
