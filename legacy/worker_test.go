package main

import (
	"net"
	"reflect"
	"testing"

	"github.com/ugorji/go/codec"
)

// worker is one of Kong 2.8's workers, as far as it talks to go-pluginserver:
// kong/runloop/plugin_servers/mp_rpc.lua of Kong 2.8.3.
type worker struct {
	t    *testing.T
	conn net.Conn
	enc  *codec.Encoder
	dec  *codec.Decoder
	id   int
}

// msgpack writes as Kong's MessagePack library does, and reads as it.
func msgpack() *codec.MsgpackHandle {
	h := &codec.MsgpackHandle{}
	h.RawToString = true
	h.PositiveIntUnsigned = true
	h.MapType = reflect.TypeFor[map[string]any]()
	return h
}

func newWorker(t *testing.T) *worker {
	t.Helper()
	conn, err := running(t).dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &worker{t: t, conn: conn, enc: codec.NewEncoder(conn, msgpack()), dec: codec.NewDecoder(conn, msgpack())}
}

// call makes one call, and returns what it returns or its error.
func (w *worker) call(method string, arg any) (result map[string]any, failed any) {
	w.t.Helper()
	w.id++
	if err := w.enc.Encode([]any{0, w.id, method, []any{arg}}); err != nil {
		w.t.Fatal(err)
	}
	for {
		var message []any
		if err := w.dec.Decode(&message); err != nil {
			w.t.Fatalf("%s: %v", method, err)
		}
		if number(message[0]) == 2 { // a notification, of the server's pid
			continue
		}
		if number(message[0]) != 1 || number(message[1]) != w.id {
			w.t.Fatalf("%s %d is answered with %v", method, w.id, message)
		}
		result, _ = message[3].(map[string]any)
		return result, message[2]
	}
}

// start starts an instance with the config that Kong sends, and returns its number.
func (w *worker) start(config string) int {
	w.t.Helper()
	status, failed := w.call("plugin.StartInstance", map[string]any{"Name": "traffic-split", "Config": config})
	if failed != nil {
		w.t.Fatalf("StartInstance: %v", failed)
	}
	return number(status["Id"])
}

func (w *worker) close(instance int) {
	w.t.Helper()
	if _, failed := w.call("plugin.CloseInstance", instance); failed != nil {
		w.t.Fatalf("CloseInstance: %v", failed)
	}
}

// access runs the access phase of a request.
func (w *worker) access(instance int, r *request28) *request28 {
	w.t.Helper()
	step, failed := w.call("plugin.HandleEvent", map[string]any{"InstanceId": instance, "EventName": "access"})
	for failed == nil && step["Data"] != "ret" {
		data := step["Data"].(map[string]any)
		method := data["Method"].(string)
		args, _ := data["Args"].([]any)
		result, problem := r.answer(w.t, method, args)
		if r.exited != "" {
			return r // Kong's coroutine ends here
		}
		by, back := "plugin.Step", map[string]any{"EventId": step["EventId"]}
		switch {
		case problem != "":
			by, back["Data"] = "plugin.StepError", problem
		case method == "kong.client.get_consumer":
			by = "plugin.StepConsumer"
		case method == "kong.client.get_credential":
			by = "plugin.StepCredential"
		}
		if result != nil { // in Lua, nil is no value of a table
			back["Data"] = result
		}
		step, failed = w.call(by, back)
	}
	if failed != nil {
		w.t.Fatalf("the event fails: %v", failed)
	}
	return r
}

func number(v any) int {
	switch v := v.(type) {
	case int64:
		return int(v)
	case uint64:
		return int(v)
	}
	return -1
}
