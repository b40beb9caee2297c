package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// patience is how much longer than a round an event may take.
const patience = 10 * time.Second

// A contestant is a server that runs, with the connections that Kong has to it.
type contestant struct {
	*process
	conns     []*kong
	instances map[kase]int32 // their ids
}

// enter starts the server called name and connects to it.
func enter(ctx context.Context, name, dir string) (*contestant, error) {
	p, err := start(ctx, name, dir)
	if err != nil {
		return nil, err
	}
	c := &contestant{process: p, instances: map[kase]int32{}}
	for range maxConns {
		k, err := connect(p.socket)
		if err != nil {
			return nil, errors.Join(err, c.end())
		}
		c.conns = append(c.conns, k)
	}
	return c, nil
}

// end ends the connections and the server.
func (c *contestant) end() error {
	for _, k := range c.conns {
		_ = k.sock.Close()
	}
	return c.stop()
}

// rehearse starts the instance of a case, and returns the methods that it calls
// at an event.
func (c *contestant) rehearse(k kase, row int32) (methods []string, err error) {
	kong := c.conns[0]
	if err := kong.sock.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	id, err := kong.start("bench", config{ID: row, Calls: k.Calls, Reads: k.Reads})
	if err != nil {
		return nil, err
	}
	c.instances[k] = id
	kong.heard = func(method string) { methods = append(methods, method) }
	defer func() { kong.heard = nil }()
	return methods, kong.event(newEvent(id), k.Calls+k.Reads)
}

// rate is how many events a second the server answers, measured for d and for
// one event on each connection at least.
func (c *contestant) rate(k kase, d time.Duration) (float64, error) {
	events := make([]int, k.Conns)
	errs := make([]error, k.Conns)
	var all sync.WaitGroup
	begin := time.Now()
	for i, kong := range c.conns[:k.Conns] {
		if err := kong.sock.SetDeadline(begin.Add(d + patience)); err != nil {
			return 0, err
		}
		all.Go(func() {
			event := newEvent(c.instances[k])
			for events[i] == 0 || errs[i] == nil && time.Since(begin) < d {
				errs[i] = kong.event(event, k.Calls+k.Reads)
				events[i]++
			}
		})
	}
	all.Wait()
	took := time.Since(begin)
	sum := 0
	for _, n := range events {
		sum += n
	}
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return 0, errs[i] // the others fail for the same reason
	}
	return float64(sum) / took.Seconds(), nil
}
