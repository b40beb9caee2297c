//go:build linux

package keeper

import (
	"bytes"
	"log/slog"
	"maps"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kong-traffic-split/plugin/state"
)

// A keeper that is asked for a value and does not give it, as it hangs, is another
// program or an older executable, keeps no server from starting.
func TestAskingAKeeperThatDoesNotSay(t *testing.T) {
	for name, test := range map[string]struct {
		does   func(net.Conn)
		warned bool
	}{
		"hangs":       {func(net.Conn) {}, true},
		"is another":  {func(c net.Conn) { _, _ = c.Write(bytes.Repeat([]byte{0xff}, messageHead)) }, true},
		"is an older": {func(c net.Conn) { _ = c.Close() }, false},
		"has no value": {func(c net.Conn) {
			_ = (&link{sock: c.(*net.UnixConn)}).send(valueOf("note", nil))
		}, false},
		"is not there":   {nil, false},
		"says otherwise": {func(c net.Conn) { _ = (&link{sock: c.(*net.UnixConn)}).send(message{kind: began}) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s")
			if test.does != nil {
				l, err := net.Listen("unix", path)
				if err != nil {
					t.Fatal(err)
				}
				done := make(chan struct{})
				defer func() {
					_ = l.Close()
					<-done
				}()
				go func() {
					defer close(done)
					sock, err := l.Accept()
					if err != nil {
						return
					}
					t.Cleanup(func() { _ = sock.Close() })                                   // not before, as of what nobody refers to
					if _, err := (&link{sock: sock.(*net.UnixConn)}).receive(); err != nil { // all that it is asked
						t.Error(err)
					}
					test.does(sock)
				}()
			}
			var log bytes.Buffer
			k := &keeper{Options: Options{Succession: path, Early: []string{"note"}, Log: slog.New(slog.NewTextHandler(&log, nil)), State: new(state.Memory)}}
			patience := askTime
			if name == "hangs" {
				patience = 50 * time.Millisecond
			}
			k.askEarly(time.Now().Add(patience))
			if warned := strings.Contains(log.String(), "the former server does not send"); warned != test.warned || k.State.Keys("") != nil {
				t.Errorf("the log has %q, the state %q", &log, k.State.Keys(""))
			}
		})
	}
}

// What the keeper before this one has saved is newer than what was there at the start,
// from a file, and older than what a child of this one has changed since, be it that it
// has deleted it.
func TestWhichSavedValueIsTheNewest(t *testing.T) {
	read := new(state.Memory)
	for _, key := range []string{"read", "touched", "changed", "deleted"} {
		read.Set(key, []byte("from the file"))
	}
	k := &keeper{Options: Options{State: read, Log: slog.New(slog.DiscardHandler)}, changed: map[string]bool{}}
	child := new(process)
	k.save(child, valueOf("touched", []byte("from the file")))
	k.save(child, valueOf("changed", []byte("of a child")))
	k.save(child, valueOf("deleted", nil))
	k.save(child, valueOf("new", []byte("of a child")))
	for _, key := range []string{"read", "touched", "changed", "deleted", "new", "other"} {
		k.inherit(valueOf(key, []byte("handed over")))
	}
	got := map[string]string{}
	for _, key := range k.State.Keys("") {
		got[key] = string(k.State.Get(key))
	}
	want := map[string]string{
		"read": "handed over", "touched": "handed over", "changed": "of a child", "new": "of a child", "other": "handed over",
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func valueOf(key string, value []byte) message {
	return message{kind: savedValue, key: key, value: value}
}
