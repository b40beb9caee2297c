package standin

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/Kong/go-pdk"
	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"

	"kong-traffic-split/kong/wire"
)

// fakePlugin is a plugin server whose phases are functions of a test, written
// with go-pdk as plugins are.
type fakePlugin struct {
	t      *testing.T
	name   string
	socket string
	access,
	preread,
	log func(kong *pdk.PDK, conn net.Conn, config map[string]any)
	// start, where given, may refuse an instance by closing the connection.
	start func(config map[string]any) bool

	mu        sync.Mutex
	listener  net.Listener
	conns     map[net.Conn]struct{}
	instances map[int32]map[string]any
	calls     []string // in order, as "start 1", "access 1", "close 1"
	serving   sync.WaitGroup
}

// servePlugin runs a plugin server until the test ends. access may be nil.
func servePlugin(t *testing.T, access func(kong *pdk.PDK)) *fakePlugin {
	t.Helper()
	p := &fakePlugin{
		t: t, name: "fake", socket: shortDir(t) + "/s",
		conns: map[net.Conn]struct{}{}, instances: map[int32]map[string]any{},
	}
	if access != nil {
		p.access = func(kong *pdk.PDK, _ net.Conn, _ map[string]any) { access(kong) }
	}
	p.listen()
	t.Cleanup(func() {
		p.stop()
		p.serving.Wait()
	})
	return p
}

// server is how a gateway is told of the plugin.
func (p *fakePlugin) server() []PluginServer {
	phases := `"access"`
	if p.preread != nil {
		phases += `,"preread"`
	}
	if p.log != nil {
		phases += `,"log"`
	}
	return []PluginServer{{Name: p.name, Socket: p.socket, QueryCmd: fmt.Sprintf(`echo '%s'`, fmt.Sprintf(
		`{"Protocol":"ProtoBuf:1","Plugins":[{"Name":"%s","Version":"1.0","Priority":10,"Phases":[%s],
		"Schema":{"name":"%s","fields":[{"config":{"type":"record","fields":[{"say":{"type":"string"}}]}}]}}]}`,
		p.name, phases, p.name))}}
}

func (p *fakePlugin) listen() {
	listener, err := net.Listen("unix", p.socket)
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	p.listener = listener
	p.mu.Unlock()
	p.serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			p.conns[conn] = struct{}{}
			p.mu.Unlock()
			p.serving.Go(func() { p.serve(conn) })
		}
	})
}

// stop ends the server and its connections, as a process that ends does.
func (p *fakePlugin) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.listener.Close()
	for conn := range p.conns {
		_ = conn.Close()
	}
}

// restart is a new process, which knows nothing of former instances.
func (p *fakePlugin) restart() {
	p.stop()
	p.mu.Lock()
	p.instances = map[int32]map[string]any{}
	p.mu.Unlock()
	p.listen()
}

func (p *fakePlugin) note(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, fmt.Sprintf(format, args...))
}

// noted are the calls that begin with a word.
func (p *fakePlugin) noted(word string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(p.calls), func(c string) bool { return !strings.HasPrefix(c, word) })
}

func (p *fakePlugin) serve(conn net.Conn) {
	defer func() {
		_ = recover() // go-pdk panics where Kong ends the connection
		_ = conn.Close()
		p.mu.Lock()
		delete(p.conns, conn)
		p.mu.Unlock()
	}()
	for {
		body, err := wire.ReadFrame(conn, nil)
		if err != nil {
			return
		}
		call := &pb.RpcCall{}
		if err := proto.Unmarshal(body, call); err != nil {
			p.t.Error(err)
			return
		}
		returned, ok := p.handle(conn, call)
		if !ok {
			return
		}
		returned.Sequence = call.Sequence
		reply, err := proto.Marshal(returned)
		if err != nil {
			p.t.Error(err)
			return
		}
		if _, err := conn.Write(wire.AppendFrame(nil, reply)); err != nil {
			return
		}
	}
}

func (p *fakePlugin) handle(conn net.Conn, call *pb.RpcCall) (*pb.RpcReturn, bool) {
	switch c := call.Call.(type) {
	case *pb.RpcCall_CmdStartInstance:
		var config map[string]any
		if err := json.Unmarshal(c.CmdStartInstance.Config, &config); err != nil {
			p.t.Error(err)
			return nil, false
		}
		id := int32(config["__seq__"].(float64))
		p.note("start %d", id)
		if p.start != nil && !p.start(config) {
			return nil, false
		}
		p.mu.Lock()
		p.instances[id] = config
		p.mu.Unlock()
		return status(id), true
	case *pb.RpcCall_CmdCloseInstance:
		p.note("close %d", c.CmdCloseInstance.InstanceId)
		return status(c.CmdCloseInstance.InstanceId), true
	case *pb.RpcCall_CmdHandleEvent:
		return p.event(conn, c.CmdHandleEvent)
	}
	p.t.Errorf("unexpected call %v", call)
	return nil, false
}

func (p *fakePlugin) event(conn net.Conn, e *pb.CmdHandleEvent) (*pb.RpcReturn, bool) {
	p.note("%s %d", e.EventName, e.InstanceId)
	p.mu.Lock()
	config, ok := p.instances[e.InstanceId]
	p.mu.Unlock()
	if !ok {
		return nil, false
	}
	phase := map[string]func(*pdk.PDK, net.Conn, map[string]any){
		"access": p.access, "preread": p.preread, "log": p.log,
	}[e.EventName]
	if phase != nil {
		phase(pdk.Init(conn), conn, config)
	}
	_, err := conn.Write(wire.AppendFrame(nil, nil))
	return &pb.RpcReturn{}, err == nil
}

func status(id int32) *pb.RpcReturn {
	return &pb.RpcReturn{Return: &pb.RpcReturn_InstanceStatus{
		InstanceStatus: &pb.InstanceStatus{Name: "fake", InstanceId: id},
	}}
}

// ask calls the PDK with bytes, for what go-pdk cannot do.
func ask(conn net.Conn, method string, args []byte) ([]byte, error) {
	if _, err := conn.Write(wire.AppendFrame(wire.AppendFrame(nil, []byte(method)), args)); err != nil {
		return nil, err
	}
	return wire.ReadFrame(bufio.NewReaderSize(io.Reader(conn), 1), nil)
}
