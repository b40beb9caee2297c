package server

import (
	"errors"
	"fmt"
	"io"
	"testing"

	pdk "github.com/Kong/go-pdk"
	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"github.com/google/go-cmp/cmp"
)

func TestStringsThatAreNotUTF8KeepTheExchangeInStep(t *testing.T) {
	var errs []error
	s := serve(t, pluginOf(func(_ string, kong *pdk.PDK) error {
		_, err := kong.Request.GetHeader("X-Hi") // the reply cannot be decoded
		errs = append(errs, err)
		errs = append(errs, kong.Ctx.SetShared("k\xff", "v")) // the arguments cannot be encoded
		errs = append(errs, kong.ServiceRequest.SetHeader("X-B", "v"))
		host, err := kong.Request.GetHost()
		errs = append(errs, err, errors.New(host))
		errs = append(errs, kong.ServiceRequest.SetPath("/\xff"), kong.Service.SetUpstream("\xff")) // twice, and last
		return nil
	}))
	kong := dial(t, s.path)
	id := kong.start(`{"__seq__":1}`)
	for range 2 {
		errs = nil
		calls, err := kong.event(id, "access", func(call pdkCall) ([]byte, error) {
			switch call.Method {
			case "kong.request.get_header":
				return []byte("\x0a\x02\xff\xfe"), nil
			case "kong.request.get_host":
				return []byte("\x0a\x04host"), nil
			default:
				return nil, nil
			}
		})
		if got, want := methods(calls), "request.get_header service.request.set_header request.get_host"; err != nil || got != want {
			t.Errorf("Kong gets %q, %v, want %q", got, err, want)
		}
		const invalid = "string field contains invalid UTF-8"
		want := []string{invalid, invalid, "<nil>", "<nil>", "host", invalid, invalid}
		var got []string
		for _, err := range errs {
			got = append(got, fmt.Sprint(err))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("what the handler gets (-want +got):\n%s", diff)
		}
	}
}

func TestKongMayEndAnExchange(t *testing.T) {
	const log = `level=WARN msg="connection closed" reason="phase access: exchange ended by Kong, ` +
		`as it is when a call fails there or the client goes, during %s: EOF"` + "\n"
	for name, tt := range map[string]struct {
		calls  func(kong *pdk.PDK) error
		failed string
		got    error // by the handler
	}{
		"in a call that it waits for": {func(kong *pdk.PDK) error {
			_, err := kong.Request.GetHost()
			return errors.Join(err, kong.ServiceRequest.SetPath("/"))
		}, "kong.request.get_host", io.EOF},
		"in a call before one that it waits for": {func(kong *pdk.PDK) error {
			errs := errors.Join(kong.ServiceRequest.SetScheme("ftp"), kong.ServiceRequest.SetPath("/"))
			_, err := kong.Request.GetHost()
			return errors.Join(errs, err)
		}, "kong.service.request.set_scheme", io.EOF},
		"in one of many calls that it does not wait for": {func(kong *pdk.PDK) error {
			for range 10 * maxOwed {
				if err := kong.ServiceRequest.SetScheme("ftp"); err != nil {
					return err
				}
			}
			return nil
		}, "kong.service.request.set_scheme", io.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			returned := make(chan error, 1)
			s := serve(t, pluginOf(func(_ string, kong *pdk.PDK) error {
				err := tt.calls(kong)
				returned <- err
				return err
			}))
			kong := dial(t, s.path)
			id := kong.start(`{"__seq__":1}`)
			_, _ = kong.event(id, "access", func(call pdkCall) ([]byte, error) {
				if call.Method == tt.failed {
					return nil, errDrop // closes
				}
				return nil, nil
			})
			if err := <-returned; !errors.Is(err, tt.got) {
				t.Errorf("the handler gets %v", err)
			}
			s.stop()
			if err := s.end(); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(fmt.Sprintf(log, tt.failed), s.logs.withoutTime()); diff != "" {
				t.Errorf("the server's own log (-want +got):\n%s", diff)
			}
		})
	}
}

// The last calls of an event are not waited for at all: the handler has returned
// when one of them fails, and Kong answers the client itself.
func TestACallMayFailAfterTheHandlerHasReturned(t *testing.T) {
	s := serve(t, pluginOf(func(_ string, kong *pdk.PDK) error { return kong.ServiceRequest.SetScheme("ftp") }))
	kong := dial(t, s.path)
	kong.call(&pb.RpcCall{Call: &pb.RpcCall_CmdHandleEvent{CmdHandleEvent: &pb.CmdHandleEvent{
		InstanceId: kong.start(`{"__seq__":1}`), EventName: "access",
	}}})
	if got := kong.frame(); got != "kong.service.request.set_scheme" {
		t.Fatalf("Kong gets %q", got)
	}
	if err := kong.sock.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	kong.drained()
	s.stop()
	if err := s.end(); err != nil {
		t.Error(err)
	}
	want := `level=WARN msg="connection closed" reason="exchange ended by Kong, as it is when a call fails there or the client goes, ` +
		`during kong.service.request.set_scheme: EOF"` + "\n"
	if diff := cmp.Diff(want, s.logs.withoutTime()); diff != "" {
		t.Errorf("the server's own log (-want +got):\n%s", diff)
	}
}

func TestAnExitEndsTheExchange(t *testing.T) {
	after := make(chan error, 1)
	s := serve(t, pluginOf(func(_ string, kong *pdk.PDK) error {
		kong.Response.Exit(503, []byte("no"), nil)
		after <- kong.Log.Err("late")
		return nil
	}))
	kong := dial(t, s.path)
	id := kong.start(`{"__seq__":1}`)
	calls, _ := kong.event(id, "access", nil)
	if got := methods(calls); got != "response.exit" {
		t.Errorf("Kong gets %q", got)
	}
	if err := <-after; !errors.Is(err, errOver) {
		t.Errorf("a call after the exit returns %v", err)
	}
	s.stop()
	if err := s.end(); err != nil {
		t.Error(err)
	}
	if got := s.logs.String(); got != "" {
		t.Errorf("an exit is nothing to log:\n%s", got)
	}
}

// A peer that replies to an exit is still in the exchange.
func TestAnExitThatIsRepliedToIsEndedLikeAnyEvent(t *testing.T) {
	s := serve(t, pluginOf(func(_ string, kong *pdk.PDK) error {
		kong.Response.ExitStatus(503)
		return nil
	}))
	kong := dial(t, s.path)
	id := kong.start(`{"__seq__":1}`)
	for range 2 {
		kong.call(&pb.RpcCall{Call: &pb.RpcCall_CmdHandleEvent{CmdHandleEvent: &pb.CmdHandleEvent{
			InstanceId: id, EventName: "access",
		}}})
		for _, want := range []string{"kong.response.exit", "\x08\xf7\x03"} {
			if got := kong.frame(); got != want {
				t.Fatalf("Kong gets %q, want %q", got, want)
			}
		}
		kong.send(nil)
		if got := kong.frame(); got != "" {
			t.Fatalf("Kong gets %q, want the end of calls", got)
		}
		if _, err := kong.returned(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestKongCannotBeUsedAfterItsEvent(t *testing.T) {
	var kept *pdk.PDK
	s := serve(t, pluginOf(func(_ string, kong *pdk.PDK) error {
		kept = kong
		return nil
	}))
	kong := dial(t, s.path)
	id := kong.start(`{"__seq__":1}`)
	for range 2 {
		if _, err := kong.event(id, "access", nil); err != nil {
			t.Fatal(err)
		}
		if err := kept.Log.Err("late"); !errors.Is(err, errOver) {
			t.Errorf("a late call returns %v", err)
		}
	}
}
