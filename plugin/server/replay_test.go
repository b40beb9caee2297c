package server

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	pdk "github.com/Kong/go-pdk"
	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// A recorded frame, of those between Kong 3.9.3 and a plugin on go-pdk's server.
type recorded struct {
	Conn int    `json:"conn"`
	N    int    `json:"n"`
	From string `json:"from"`
	Kind string `json:"kind"`
	Hex  string `json:"hex"`
}

func readRecorded(t *testing.T) (all []recorded) {
	t.Helper()
	file, err := os.Open("../../kong/wire/testdata/frames.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var frame recorded
		if err := json.Unmarshal(lines.Bytes(), &frame); err != nil {
			t.Fatal(err)
		}
		all = append(all, frame)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestRecordedFrames plays Kong's side of the recorded exchanges to the server,
// with the plugin of the recording, and expects the recorded frames of the
// plugin, byte for byte.
//
// Three things differ on purpose. The return of a close_instance has the plugin's
// name where go-pdk gives "---"; Kong reads nothing of it. Where Kong drops the
// connection because of a call that returns nothing, what follows that call was sent
// with it, to nobody. And go-pdk's ids are Kong's own numbers: Kong goes by the ids that
// it gets, so ours take their place in what it sends later.
func TestRecordedFrames(t *testing.T) {
	clock := newClock()
	s := serve(t, probe, clock.use)
	conns := map[int]*kongConn{}
	checked := 0
	ids := map[int32]int32{} // ours, by go-pdk's
	recording := readRecorded(t)
	for i, frame := range recording {
		kong := conns[frame.Conn]
		if kong == nil {
			kong = dial(t, s.path)
			conns[frame.Conn] = kong
		}
		body, err := hex.DecodeString(frame.Hex)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case frame.Kind == "closed" && frame.From == "kong":
			if err := kong.sock.CloseWrite(); err != nil {
				t.Fatal(err)
			}
		case frame.Kind == "closed":
			kong.drained()
		case frame.From == "kong":
			clock.set(startedAt(t, body, recording[i+1:]))
			kong.send(withID(t, ids, body))
		default:
			got := kong.frame()
			if want := onPurpose(t, ids, frame, body, got); got != want {
				t.Fatalf("frame %d of connection %d, %s:\n got %q\nwant %q", frame.N, frame.Conn, frame.Kind, got, want)
			}
			checked++
		}
	}
	if len(conns) != 7 || checked < 200 {
		t.Errorf("the recording has %d connections and %d frames of the plugin", len(conns), checked)
	}
}

// startedAt returns when the instance that the call in body starts was started
// in the recording, which its return among the frames that follow says. It is
// zero for another call.
func startedAt(t *testing.T, body []byte, following []recorded) time.Time {
	t.Helper()
	var call pb.RpcCall
	if proto.Unmarshal(body, &call) != nil || call.GetCmdStartInstance() == nil {
		return time.Time{}
	}
	for _, frame := range following {
		body, err := hex.DecodeString(frame.Hex)
		if err != nil {
			t.Fatal(err)
		}
		var ret pb.RpcReturn
		if frame.Kind == "RpcReturn" && proto.Unmarshal(body, &ret) == nil && ret.Sequence == call.Sequence {
			return time.Unix(ret.GetInstanceStatus().GetStartedAt(), 0)
		}
	}
	t.Fatalf("call %d has no return", call.Sequence)
	return time.Time{}
}

// withID returns the recorded call with our id of the instance that it is about.
func withID(t *testing.T, ids map[int32]int32, body []byte) []byte {
	t.Helper()
	var call pb.RpcCall
	if proto.Unmarshal(body, &call) != nil {
		return body // a reply
	}
	switch {
	case call.GetCmdHandleEvent() != nil:
		call.GetCmdHandleEvent().InstanceId = ids[call.GetCmdHandleEvent().InstanceId]
	case call.GetCmdCloseInstance() != nil:
		call.GetCmdCloseInstance().InstanceId = ids[call.GetCmdCloseInstance().InstanceId]
	default:
		return body
	}
	body, err := proto.Marshal(&call)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// onPurpose returns the recorded frame as this server sends it, where it has sent got:
// the id of an instance that is new is any that is free.
func onPurpose(t *testing.T, ids map[int32]int32, frame recorded, body []byte, got string) string {
	t.Helper()
	var ret, ours pb.RpcReturn
	if frame.Kind != "RpcReturn" || proto.Unmarshal(body, &ret) != nil || ret.GetInstanceStatus() == nil {
		return string(body)
	}
	status := ret.GetInstanceStatus()
	status.Name = probe.Name
	if _, known := ids[status.InstanceId]; !known && proto.Unmarshal([]byte(got), &ours) == nil {
		for _, id := range ids {
			if ours.GetInstanceStatus().GetInstanceId() == id {
				t.Fatalf("the id %d is given out twice", id)
			}
		}
		ids[status.InstanceId] = ours.GetInstanceStatus().GetInstanceId()
	}
	status.InstanceId = ids[status.InstanceId]
	body, err := proto.Marshal(&ret)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// probe is the plugin of the recording: it runs the operations of its config,
// one after another, and gives what they returned as a response header.
var probe = Plugin{
	Name:   "probe",
	Phases: []string{"access", "log"},
	Start: func(config []byte) (Instance, error) {
		var ops struct{ Ops, LogOps []string }
		if err := json.Unmarshal(config, &ops); err != nil {
			return nil, err
		}
		return handler(func(phase string, kong *pdk.PDK) error {
			if phase == "log" {
				_, err := probeAll(kong, ops.LogOps)
				return err
			}
			results, err := probeAll(kong, ops.Ops)
			if err != nil {
				return err
			}
			return kong.Response.SetHeader("X-Probe", strings.Join(results, " | "))
		}), nil
	},
}

func probeAll(kong *pdk.PDK, ops []string) (results []string, err error) {
	for _, op := range ops {
		name, arg, _ := strings.Cut(op, " ")
		run := probes[name]
		if run == nil {
			return nil, errors.New("no such operation: " + op)
		}
		results = append(results, op+"="+run(kong, arg))
	}
	return results, nil
}

// plain, spaced and quoted show a result in the three ways of the recording.
func plain(v any, err error) string                   { return fmt.Sprintf("%v%v", v, err) }
func spaced(v any, err error) string                  { return fmt.Sprintf("%v %v", v, err) }
func quoted(v string, err error) string               { return strconv.Quote(v) + " " + fmt.Sprint(err) }
func counted[V any](m map[string]V, err error) string { return fmt.Sprintf("%d %v", len(m), err) }

// probes are the operations of the recording.
var probes = map[string]func(kong *pdk.PDK, arg string) string{
	"hdr":     func(kong *pdk.PDK, arg string) string { return plain(kong.Request.GetHeader(arg)) },
	"qarg":    func(kong *pdk.PDK, arg string) string { return plain(kong.Request.GetQueryArg(arg)) },
	"rawq":    func(kong *pdk.PDK, _ string) string { return quoted(kong.Request.GetRawQuery()) },
	"method":  func(kong *pdk.PDK, _ string) string { return plain(kong.Request.GetMethod()) },
	"rpath":   func(kong *pdk.PDK, _ string) string { return plain(kong.Request.GetPath()) },
	"host":    func(kong *pdk.PDK, _ string) string { return plain(kong.Request.GetHost()) },
	"headers": func(kong *pdk.PDK, _ string) string { return counted(kong.Request.GetHeaders(-1)) },
	"query":   func(kong *pdk.PDK, _ string) string { return spaced(kong.Request.GetQuery(-1)) },
	"ip":      func(kong *pdk.PDK, _ string) string { return plain(kong.Client.GetForwardedIp()) },
	"cip":     func(kong *pdk.PDK, _ string) string { return plain(kong.Client.GetIp()) },
	"route": func(kong *pdk.PDK, _ string) string {
		route, err := kong.Router.GetRoute()
		return plain(route.Name, err)
	},
	"service": func(kong *pdk.PDK, _ string) string {
		service, err := kong.Router.GetService()
		return plain(service.Name, err)
	},
	"node": func(kong *pdk.PDK, _ string) string { return plain(kong.Node.GetId()) },
	"captures": func(kong *pdk.PDK, _ string) string {
		unnamed, named, err := kong.Request.GetUriCaptures()
		return fmt.Sprintf("%v %v %v", unnamed, named, err)
	},
	"var":      func(kong *pdk.PDK, arg string) string { return plain(kong.Nginx.GetVar(arg)) },
	"shget":    func(kong *pdk.PDK, arg string) string { return plain(kong.Ctx.GetSharedString(arg)) },
	"consumer": func(kong *pdk.PDK, _ string) string { return spaced(kong.Client.GetConsumer()) },
	"cred":     func(kong *pdk.PDK, _ string) string { return spaced(kong.Client.GetCredential()) },

	"status":    func(kong *pdk.PDK, _ string) string { return plain(kong.Response.GetStatus()) },
	"source":    func(kong *pdk.PDK, _ string) string { return plain(kong.Response.GetSource()) },
	"svcstatus": func(kong *pdk.PDK, _ string) string { return plain(kong.ServiceResponse.GetStatus()) },
	"serialize": func(kong *pdk.PDK, _ string) string { return plain(kong.Log.Serialize()) },

	"target": func(kong *pdk.PDK, arg string) string { return fmt.Sprint(kong.Service.SetTarget(arg, 9201)) },
	"upstream": func(kong *pdk.PDK, arg string) string {
		var found pb.Bool
		err := kong.Service.Ask("kong.service.set_upstream", &pb.String{V: arg}, &found)
		return spaced(found.V, err)
	},
	"path":   func(kong *pdk.PDK, arg string) string { return fmt.Sprint(kong.ServiceRequest.SetPath(arg)) },
	"scheme": func(kong *pdk.PDK, arg string) string { return fmt.Sprint(kong.ServiceRequest.SetScheme(arg)) },
	"cookie": func(kong *pdk.PDK, _ string) string {
		return fmt.Sprint(kong.Response.AddHeader("Set-Cookie", "split=abc; Path=/"))
	},
	"reqhdr": func(kong *pdk.PDK, arg string) string {
		name, value, _ := strings.Cut(arg, " ")
		return fmt.Sprint(kong.ServiceRequest.SetHeader(name, value))
	},
	"shset": func(kong *pdk.PDK, arg string) string {
		key, value, _ := strings.Cut(arg, " ")
		return fmt.Sprint(kong.Ctx.SetShared(key, value))
	},
	"ser": func(kong *pdk.PDK, arg string) string {
		key, value, _ := strings.Cut(arg, " ")
		kv := &pb.KV{K: key, V: structpb.NewStringValue(value)}
		return fmt.Sprint(kong.Log.Ask("kong.log.set_serialize_value", kv, nil))
	},
	"log": func(kong *pdk.PDK, _ string) string { return fmt.Sprint(kong.Log.Warn("probe says hi")) },
	"exit": func(kong *pdk.PDK, _ string) string {
		kong.Response.Exit(503, []byte(`{"message":"no"}`), map[string][]string{"Content-Type": {"application/json"}})
		return ""
	},
}
