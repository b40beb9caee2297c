package server

import (
	"errors"
	"strings"
	"testing"
	"time"

	pdk "github.com/Kong/go-pdk"
	"github.com/google/go-cmp/cmp"
)

// A reading instance has its reads sent before its handler runs.
type reading struct {
	handler
	first []Call
	later [][]Call
}

func (r reading) Reads(string, time.Time) (first []Call, later [][]Call) { return r.first, r.later }

func TestReadsAnswerTheHandlersCalls(t *testing.T) {
	path := socketPath(t)
	l, err := Listen(path, Access{Mode: 0o600}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	tap := &tapped{Listener: l}
	var got []string
	plugin := pluginOf(nil)
	plugin.Start = func([]byte) (Instance, error) {
		return reading{
			func(_ string, kong *pdk.PDK) error {
				got = nil
				for _, header := range []string{"B", "A", "unlisted", "A"} {
					value, err := kong.Request.GetHeader(header)
					if err != nil {
						return err
					}
					got = append(got, value)
				}
				host, err := kong.Request.GetHost()
				got = append(got, host)
				return errors.Join(err, kong.ServiceRequest.SetPath("X"))
			},
			[]Call{
				{"kong.request.get_header", []byte("\x0a\x01A")},
				{"kong.request.get_header", []byte("\x0a\x01B")},
				{"kong.request.get_host", nil},
			},
			nil,
		}, nil
	}
	s := serveOn(t, tap, path, plugin)
	kong := dial(t, s.path)
	id := kong.start(`{"__seq__":1}`)
	for range 2 { // the second event finds nothing of the first
		tap.writes = nil
		_, err = kong.event(id, "access", func(call pdkCall) ([]byte, error) {
			switch {
			case strings.HasSuffix(call.Method, "get_host"):
				return []byte("\x0a\x04host"), nil
			case strings.HasSuffix(call.Method, "get_header"):
				value := "of " + strings.TrimSpace(call.Args[2:])
				return append([]byte{0x0a, byte(len(value))}, value...), nil
			}
			return nil, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"of B", "of A", "of unlisted", "of A", "host"}, got); diff != "" {
			t.Errorf("what the handler gets (-want +got):\n%s", diff)
		}
		tap.mu.Lock()
		if len(tap.writes) != 3 {
			t.Errorf("%d writes: %q; want one for the reads, one for the call that is not among them, and one for the end", len(tap.writes), tap.writes)
		}
		tap.mu.Unlock()
	}
}

// What may be asked for later is read list by list, once one of a list is asked for, behind
// what the handler has told before; and not at all where none of it is asked for.
func TestLaterReads(t *testing.T) {
	path := socketPath(t)
	l, err := Listen(path, Access{Mode: 0o600}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	tap := &tapped{Listener: l}
	var got []string
	plugin := pluginOf(nil)
	plugin.Start = func([]byte) (Instance, error) {
		return reading{
			func(phase string, kong *pdk.PDK) error {
				got = nil
				if phase == "rewrite" {
					return kong.ServiceRequest.SetPath("X")
				}
				for _, header := range []string{"first", "C", "B", "first", "F", "E"} {
					if err := kong.ServiceRequest.SetPath("X-" + header); err != nil {
						return err
					}
					value, err := kong.Request.GetHeader(header)
					if err != nil {
						return err
					}
					got = append(got, value)
				}
				return nil
			},
			[]Call{{"kong.request.get_header", []byte("\x0a\x05first")}},
			[][]Call{
				{{"kong.request.get_header", []byte("\x0a\x01D")}},
				{
					{"kong.request.get_header", []byte("\x0a\x01A")},
					{"kong.request.get_header", []byte("\x0a\x01B")},
					{"kong.request.get_header", []byte("\x0a\x01C")},
				},
				{{"kong.request.get_header", []byte("\x0a\x01E")}, {"kong.request.get_header", []byte("\x0a\x01F")}},
			},
		}, nil
	}
	plugin.Phases = []string{"access", "rewrite"}
	s := serveOn(t, tap, path, plugin)
	kong := dial(t, s.path)
	id := kong.start(`{"__seq__":1}`)
	for _, tt := range []struct {
		phase  string
		calls  []string
		writes int
		got    []string
	}{
		{"access", []string{"first", "X-first", "X-C", "A", "B", "C", "X-B", "X-first", "X-F", "E", "F", "X-E"}, 4, []string{"of first", "of C", "of B", "of first", "of F", "of E"}},
		{"rewrite", []string{"first", "X"}, 2, nil},
	} {
		tap.writes = nil
		var calls []string
		_, err = kong.event(id, tt.phase, func(call pdkCall) ([]byte, error) {
			calls = append(calls, call.Args[2:])
			if !strings.HasSuffix(call.Method, "get_header") {
				return nil, nil
			}
			value := "of " + call.Args[2:]
			return append([]byte{0x0a, byte(len(value))}, value...), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.got, got); diff != "" {
			t.Errorf("%s: what the handler gets (-want +got):\n%s", tt.phase, diff)
		}
		if diff := cmp.Diff(tt.calls, calls); diff != "" {
			t.Errorf("%s: what Kong is asked and told (-want +got):\n%s", tt.phase, diff)
		}
		tap.mu.Lock()
		if len(tap.writes) != tt.writes {
			t.Errorf("%s: %d writes, want %d: %q", tt.phase, len(tap.writes), tt.writes, tap.writes)
		}
		tap.mu.Unlock()
	}
}

func TestAReadThatFailsEndsTheExchange(t *testing.T) {
	plugin := pluginOf(nil)
	handled := false
	plugin.Start = func([]byte) (Instance, error) {
		return reading{
			func(string, *pdk.PDK) error { handled = true; return nil },
			[]Call{{"kong.request.get_query_arg", []byte("\x0a\x04flag")}, {"kong.request.get_host", nil}},
			nil,
		}, nil
	}
	s := serve(t, plugin)
	kong := dial(t, s.path)
	id := kong.start(`{"__seq__":1}`)
	_, _ = kong.event(id, "access", func(pdkCall) ([]byte, error) { return nil, errDrop })
	s.stop()
	if err := s.end(); err != nil {
		t.Error(err)
	}
	if handled {
		t.Error("the handler has run for a request that Kong has given up")
	}
	if got := s.logs.withoutTime(); !strings.Contains(got, "during kong.request.get_query_arg") {
		t.Errorf("the server's own log does not name the read:\n%s", got)
	}
}

func TestALaterReadThatFailsEndsTheExchange(t *testing.T) {
	plugin := pluginOf(nil)
	var failed error
	plugin.Start = func([]byte) (Instance, error) {
		return reading{
			func(_ string, kong *pdk.PDK) error {
				_, failed = kong.Request.GetHost()
				return failed
			},
			nil,
			[][]Call{{{"kong.request.get_query_arg", []byte("\x0a\x04flag")}, {"kong.request.get_host", nil}}},
		}, nil
	}
	s := serve(t, plugin)
	kong := dial(t, s.path)
	id := kong.start(`{"__seq__":1}`)
	_, _ = kong.event(id, "access", func(pdkCall) ([]byte, error) { return nil, errDrop })
	s.stop()
	if err := s.end(); err != nil {
		t.Error(err)
	}
	if failed == nil {
		t.Error("the handler is not told that Kong has given up")
	}
	if got := s.logs.withoutTime(); !strings.Contains(got, "during kong.request.get_query_arg") {
		t.Errorf("the server's own log does not name the read:\n%s", got)
	}
}
