package main

import (
	"bufio"
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kong-traffic-split/kong/wire"
)

func TestServerThatFailsSaysWhy(t *testing.T) {
	_, err := start(t.Context(), "nobody", t.TempDir())
	want := `server nobody has ended before it listened
server nobody: exit status 1
Error: there is no server "nobody"`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want\n%s", err, want)
	}
}

// A server that leaves a call out must not look fast.
func TestKongCountsTheCalls(t *testing.T) {
	for _, tt := range []struct {
		calls, want int
		err         string
	}{
		{2, 2, ""},
		{1, 2, "calls that the plugin has made: 1; that it should have: 2"},
		{1, 0, "calls that the plugin has made: 1; that it should have: 0"},
	} {
		here, there := net.Pipe()
		go answerOnce(there, tt.calls)
		k := &kong{sock: here, r: bufio.NewReader(here)}
		err := k.event(newEvent(1), tt.want)
		here.Close()
		if (err == nil) != (tt.err == "") || err != nil && err.Error() != tt.err {
			t.Errorf("%d of %d calls: got %v, want %q", tt.calls, tt.want, err, tt.err)
		}
	}
}

// answerOnce is a plugin server for one event.
func answerOnce(sock net.Conn, calls int) {
	defer sock.Close()
	if _, err := wire.ReadFrame(sock, nil); err != nil {
		return
	}
	for range calls {
		pair := wire.AppendFrame(wire.AppendFrame(nil, []byte("kong.service.request.set_path")), nil)
		if _, err := sock.Write(pair); err != nil {
			return
		}
		if _, err := wire.ReadFrame(sock, nil); err != nil {
			return
		}
	}
	end := wire.AppendFrame(wire.AppendFrame(nil, nil), []byte{8, 1}) // a return of sequence 1
	_, _ = sock.Write(end)
}

// What the raw server says are the bytes of go-pdk, cut where Kong has to be
// waited for.
func TestPrepared(t *testing.T) {
	id, p, err := prepare([]byte(`{"__seq__":7,"calls":1,"reads":1}`))
	if err != nil {
		t.Fatal(err)
	}
	if id != 7 || p.reads != 1 || p.owed != 1 {
		t.Errorf("id %d, %d reads, %d replies owed", id, p.reads, p.owed)
	}
	ask := "\x17\x00\x00\x00kong.request.get_header" + "\x08\x00\x00\x00" + "\x0a\x06cookie"
	tell := "\x17\x00\x00\x00kong.service.set_target" + "\x14\x00\x00\x00" + "\x0a\x0fstable.internal\x10\x90\x3f" + "\x00\x00\x00\x00"
	if diff := cmp.Diff([]string{ask, tell}, []string{string(p.ask), string(p.tell)}); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
