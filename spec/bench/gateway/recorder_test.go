package gateway

import (
	"bytes"
	"io"
	"net"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kong-traffic-split/kong/wire"
)

// said is what a plugin server writes: frames, of which an empty one ends an event.
func said(frames ...string) (all []byte) {
	for _, frame := range frames {
		all = wire.AppendFrame(all, []byte(frame))
	}
	return all
}

func TestReadEvents(t *testing.T) {
	var got [][]string
	written := said(
		"\x08\x01", // the return of a start
		"", "\x08\x02",
		"kong.client.get_forwarded_ip", "", // no arguments
		"kong.service.set_target", "\x0a\x01a\x10\x50", "", "\x08\x03",
		"kong.response.set_header",
	)
	err := readEvents(bytes.NewReader(written), func(event []string) { got = append(got, event) })
	if err != io.EOF {
		t.Errorf("it ends with %v", err)
	}
	want := [][]string{{}, {"kong.client.get_forwarded_ip", "kong.service.set_target"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestUsual(t *testing.T) {
	first, other := []string{"kong.nginx.get_ctx"}, []string{}
	for _, tt := range []struct {
		events [][]string
		want   []string
	}{
		{nil, nil},
		{[][]string{first, other, other}, other},
		{[][]string{first, other}, first},
	} {
		if diff := cmp.Diff(tt.want, usual(tt.events)); diff != "" {
			t.Errorf("%v (-want +got)\n%s", tt.events, diff)
		}
	}
}

// What is said passes in both directions until the recorder stops; then Kong's next
// connection is to the server itself.
func TestRecorderStandsBetweenAndStepsAside(t *testing.T) {
	dir := t.TempDir()
	link, socket := filepath.Join(dir, "link"), filepath.Join(dir, "server")
	server, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	r, err := record(link, socket)
	if err != nil {
		t.Fatal(err)
	}
	exchange := func() (kong net.Conn) {
		kong, err := net.Dial("unix", link)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := server.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = kong.Close(), conn.Close() })
		event := said("kong.log.notice", "x", "", "\x08\x01")
		for _, way := range []struct{ from, to net.Conn }{{kong, conn}, {conn, kong}} {
			if _, err := way.from.Write(event); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(way.to, make([]byte, len(event))); err != nil {
				t.Fatal(err)
			}
		}
		return kong
	}
	recorded := exchange()
	if diff := cmp.Diff([][]string{{"kong.log.notice"}}, r.take()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := recorded.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the connection goes on: %v", err)
	}
	exchange()
	if events := r.take(); events != nil {
		t.Errorf("%v were noted", events)
	}
}
