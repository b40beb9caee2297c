//go:build linux

package keeper

import (
	"bytes"
	"fmt"
	"os"
	"syscall"
	"time"
)

// start starts a child, which gets all connections and saved values.
func (k *keeper) start() error {
	p, err := k.spawn(k.exe)
	if err != nil {
		return fmt.Errorf("starting the serving process: %w", err)
	}
	k.promote(p)
	return nil
}

func (k *keeper) spawn(exe *os.File) (*process, error) {
	p, err := spawn(exe, k.Args, k.slots, k.happens)
	if err != nil {
		return nil, err
	}
	k.after(readyTime, func() { k.happens(event{from: p, late: true}) })
	for _, key := range k.State.Keys("") {
		p.post(message{kind: note, text: noteText(key, k.State.Get(key))})
	}
	p.post(message{kind: began})
	return p, nil
}

// promote makes p the child that serves.
func (k *keeper) promote(p *process) {
	k.serving = p
	for number, h := range k.held {
		k.give(number, h)
	}
}

// told does what a child asks for.
func (k *keeper) told(p *process, m message) error {
	switch m.kind {
	case ready:
		return k.isReady(p, m.number)
	case closed:
		if h := k.held[int(m.number)]; h != nil && h.owner == p {
			k.forget(int(m.number))
		}
	case missed:
		k.missed(p, int(m.number))
	case note:
		if p.ready {
			k.noted(p, m.text)
		} else { // it may never be, and then another one goes on from what was there before
			p.unready = append(p.unready, m.text)
		}
	}
	return nil
}

// noted takes a note of p, for the children after it.
func (k *keeper) noted(p *process, text []byte) {
	key, value, err := noteOf(text)
	if err != nil {
		k.Log.Error("the serving process has sent what it should not", "error", err)
		return
	}
	if was := k.State.Get(key); k.own != nil && ((was == nil) != (value == nil) || !bytes.Equal(was, value)) {
		k.own[key] = true
	}
	k.State.Set(key, value)
	if k.next != nil && p != k.next {
		k.next.post(message{kind: note, text: text})
	}
}

// tell tells the children what is saved under key now.
func (k *keeper) tell(key string) {
	for _, p := range []*process{k.serving, k.next} {
		if p != nil {
			p.post(message{kind: note, text: noteText(key, k.State.Get(key))})
		}
	}
}

// isReady goes on with what a child's readiness was waited for: listening, or
// the end of the child before it.
func (k *keeper) isReady(p *process, spoken uint32) error {
	if spoken != version {
		k.Log.Error("the new executable cannot take over, restart the server instead; the old one goes on",
			"its protocol", spoken, "the keeper's", version)
		p.signal(syscall.SIGKILL)
		return nil
	}
	if p.overdue { // it is being killed
		return nil
	}
	p.ready = true
	k.servedAt = time.Now()
	for _, text := range p.unready {
		k.noted(p, text)
	}
	p.unready = nil
	switch {
	case k.ending:
	case p == k.next && k.serving == nil:
		k.takeOver()
	case p == k.next:
		k.replace()
	case k.socket == nil:
		socket, err := k.Listen()
		if err != nil { // the child's end is this one's
			k.exit = err
			p.replaced = true
			k.end(syscall.SIGTERM)
			return nil
		}
		k.socket = socket
		go k.accept()
		k.inherit()
	}
	return nil
}
