package server

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	pdk "github.com/Kong/go-pdk"
	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"
)

// generalStatus and generalMessage are what a client is told of an error that
// says nothing else, as Kong does itself.
const (
	generalStatus  = 500
	generalMessage = "An unexpected error occurred"
)

// A failure is an event that a handler did not want to or could not handle.
type failure struct {
	status  int    // for the client
	message string // for the client
	reason  string // for the log
	stack   []byte // of a panic
}

// event runs one event and ends its exchange.
func (s *Server) event(c *conn, cmd *pb.CmdHandleEvent, ret *pb.RpcReturn) error {
	inst := s.find(cmd.InstanceId, c.deaths)
	if inst == nil && cmd.EventName == "log" {
		// Of a request from before a reload. Nobody waits for it, and to have it
		// repeated would make Kong start all instances again.
		return newCalls(c).end(ret)
	}
	if inst == nil {
		return fmt.Errorf("event %q of instance %d: %w", shortName(cmd.EventName), cmd.InstanceId, errUnknownInstance)
	}
	now := s.now()
	inst.used.Store(now.UnixNano())

	calls := newCalls(c)
	if slices.Contains(s.plugin.Phases, cmd.EventName) {
		kong := pdk.Init(calls)
		var failed *failure
		if err := cmp.Or(tooDeadly(c.deaths), inst.guard.bars(now)); err != nil { // it would most likely end the connection once more
			failed = failureOf(err)
		} else {
			failed = handle(inst, cmd.EventName, now, calls, kong)
		}
		// An error after Kong has ended the exchange is only what follows from that.
		if failed != nil && (!calls.brokenOff() || failed.stack != nil) {
			s.refuse(inst.row, cmd.EventName, now, kong, failed)
		}
	}
	err := calls.end(ret)
	if err != nil {
		inst.guard.failed(err, s.now())
		return fmt.Errorf("phase %s: %w", cmd.EventName, err)
	}
	inst.guard.succeeded()
	return nil
}

// handle reads what the instance wants to know and runs the handler, and makes
// a failure of its error or panic.
func handle(inst *instance, phase string, now time.Time, calls *calls, kong *pdk.PDK) (failed *failure) {
	defer func() {
		if v := recover(); v != nil {
			failed = &failure{
				status:  generalStatus,
				message: generalMessage,
				reason:  fmt.Sprintf("panic in %s: %v", phase, v),
				stack:   debug.Stack(),
			}
		}
	}()
	if reader, ok := inst.Instance.(Reader); ok {
		var first []Call
		first, calls.later = reader.Reads(phase, now)
		err := calls.read(first)
		if calls.brokenOff() {
			return nil // Kong waits for nothing any more
		}
		if err != nil {
			return failureOf(err)
		}
	}
	if err := inst.Handle(phase, now, kong); err != nil {
		return failureOf(err)
	}
	return nil
}

// failureOf asks err for what the client shall be told. Its methods are the
// plugin's, and may panic.
func failureOf(err error) *failure {
	f := &failure{status: generalStatus, message: generalMessage, reason: err.Error()}
	var response interface {
		Status() int
		Message() string
	}
	if errors.As(err, &response) {
		f.message = cmp.Or(response.Message(), f.message)
		if status := response.Status(); status >= 200 && status <= 599 {
			f.status = status
		}
	}
	return f
}

// refuse logs why the event failed, once a minute for the same reason of the same
// row, and answers the client, in a phase where one can be answered. What cannot
// be said to Kong is in the server's own log.
func (s *Server) refuse(row, phase string, now time.Time, kong *pdk.PDK, failed *failure) {
	reason := logLine(failed.reason)
	if ok, _ := s.reasons.allow(row+" "+reason, now); ok {
		if failed.stack != nil {
			s.log.Error("panic in a handler", "phase", phase, "reason", reason, "stack", string(failed.stack))
		}
		// Kong's line says only that a plugin server said so.
		if err := kong.Log.Err("[" + s.plugin.Name + "] " + reason); err != nil {
			s.log.Error("an event failed, and Kong cannot be told", "phase", phase, "reason", reason, "error", printable(err))
		}
	}
	switch phase {
	case "rewrite", "access", "response":
	case "preread":
		if !slices.Contains([]int{200, 400, 403, 500, 502, 503}, failed.status) {
			failed.status = generalStatus // Kong takes no other on a TCP route
		}
	default:
		return
	}
	kong.Response.Exit(failed.status, jsonBody(failed.message), map[string][]string{
		"Content-Type": {"application/json; charset=utf-8"},
	})
}

// jsonBody is the body of Kong's own error responses.
func jsonBody(message string) []byte {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(struct { // strings always encode
		Message string `json:"message"`
	}{message})
	return bytes.TrimSuffix(body.Bytes(), []byte("\n"))
}
