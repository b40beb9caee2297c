//go:build linux

package keeper

import (
	"bytes"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
)

// A keeper that is asked for a note and does not give it, as it hangs, is another
// program or an older executable, keeps no server from starting.
func TestAskingAKeeperThatDoesNotSay(t *testing.T) {
	for name, test := range map[string]struct {
		does   func(net.Conn)
		warned bool
	}{
		"hangs":       {func(net.Conn) {}, true},
		"is another":  {func(c net.Conn) { _, _ = c.Write(bytes.Repeat([]byte{0xff}, messageHead)) }, true},
		"is an older": {func(c net.Conn) { _ = c.Close() }, false},
		"has no note": {func(c net.Conn) {
			_ = (&link{sock: c.(*net.UnixConn)}).send(message{kind: note, text: noteText("note", nil)})
		}, false},
		"is not there":   {nil, false},
		"says otherwise": {func(c net.Conn) { _ = (&link{sock: c.(*net.UnixConn)}).send(message{kind: began}) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // one of them waits
			path := filepath.Join(t.TempDir(), "s")
			if test.does != nil {
				l, err := net.Listen("unix", path)
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				go func() {
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
			k := &keeper{Options: Options{Succession: path, Early: "note", Log: slog.New(slog.NewTextHandler(&log, nil))}, notes: map[string][]byte{}}
			k.askEarly()
			if warned := strings.Contains(log.String(), "the server before this one does not say"); warned != test.warned || len(k.notes) > 0 {
				t.Errorf("the log has %q, the notes %v", &log, k.notes)
			}
		})
	}
}
