package standin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// externalPlugin is a plugin as its server dumps it.
type externalPlugin struct {
	name     string
	version  string
	priority int
	phases   []string
	schema   json.RawMessage
	server   PluginServer
}

func (p *externalPlugin) has(phase string) bool { return slices.Contains(p.phases, phase) }

// versionPattern is what Kong finds of a version in a text.
var versionPattern = regexp.MustCompile(`\d+(\.\d+)*`)

// query runs the server's query command, through a shell as Kong does, and
// reads what it prints.
func query(server PluginServer) (externalPlugin, error) {
	p := externalPlugin{server: server}
	var out bytes.Buffer
	cmd := exec.Command("sh", "-c", server.QueryCmd)
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	runErr := cmd.Run() // Kong reads what was printed, however the command ended
	var dump struct {
		Protocol string
		Plugins  []struct {
			Name, Version string
			Priority      int
			Phases        []string
			Schema        json.RawMessage
		}
	}
	if err := json.Unmarshal(out.Bytes(), &dump); err != nil {
		return p, fmt.Errorf("failed loading external plugins: failed decoding plugin info: %w",
			errors.Join(err, runErr))
	}
	if dump.Protocol != "ProtoBuf:1" {
		return p, fmt.Errorf("pluginserver %s: protocol %q is not supported, only ProtoBuf:1",
			server.Name, dump.Protocol)
	}
	if len(dump.Plugins) == 0 || dump.Plugins[0].Name == "" {
		return p, fmt.Errorf("pluginserver %s: %q dumps no plugin", server.Name, server.QueryCmd)
	}
	first := dump.Plugins[0] // Kong ignores the others
	p.name, p.priority = first.Name, first.Priority
	p.version = versionPattern.FindString(first.Version)
	if p.version == "" || strings.Count(p.version, ".") > 2 {
		return p, fmt.Errorf("plugin %q cannot be loaded because its VERSION field does not follow the \"x.y.z\" format, got: %q",
			p.name, first.Version)
	}
	p.phases, p.schema = first.Phases, first.Schema
	return p, nil
}

// queryAll asks every server for its plugin.
func (s settings) queryAll() ([]externalPlugin, error) {
	var all []externalPlugin
	for _, server := range s.PluginServers {
		p, err := query(server)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// respawnInterval is the least time between two starts of a plugin server.
const respawnInterval = time.Second

// killTime is how long a plugin server has between SIGTERM and SIGKILL: about as long
// as the worker of Kong that sends these takes to end.
const killTime = 50 * time.Millisecond

// overlap is how long a plugin server lives on after a reload has started its successor.
// Kong's worker 0 ends the server when it ends itself, which may be up to 10 s after the
// reload, or before the successor starts: at every second reload of the stand-in the
// server is ended first.
const overlap = 2 * time.Second

// maxLogLine is the longest line of a plugin server that is logged whole.
const maxLogLine = 64 << 10

// serverProcess keeps a plugin server running, as worker 0 of Kong does.
type serverProcess struct {
	server PluginServer
	log    *errorLog
	stop   context.CancelFunc // when it ends next, it is not started again
	done   chan struct{}

	mu  sync.Mutex
	cmd *exec.Cmd // while one runs
}

// startProcess starts the server's start command, and again when it ends.
func startProcess(server PluginServer, log *errorLog) *serverProcess {
	// A server knows by this name that Kong has started it.
	_ = os.WriteFile("/proc/self/comm", []byte("nginx"), 0) // exists on Linux only
	ctx, cancel := context.WithCancel(context.Background())
	p := &serverProcess{server: server, log: log, stop: cancel, done: make(chan struct{})}
	go p.keep(ctx)
	return p
}

func (p *serverProcess) keep(ctx context.Context) {
	defer close(p.done)
	for ctx.Err() == nil {
		next := time.NewTimer(respawnInterval)
		p.run(ctx)
		select {
		case <-ctx.Done():
		case <-next.C:
		}
		next.Stop()
	}
}

// run runs the server once, and logs what it writes.
func (p *serverProcess) run(ctx context.Context) {
	p.log.kong(levelNotice, "process.lua", "[pluginserver] starting pluginserver process for %s", p.server.Name)
	cmd := exec.Command("sh", "-c", "exec "+p.server.StartCmd)
	output, input := io.Pipe()
	cmd.Stdout, cmd.Stderr = input, input
	cmd.WaitDelay = time.Second // children of its own may hold the output open
	if !p.begin(ctx, cmd) {
		return
	}
	var lines sync.WaitGroup
	lines.Go(func() { p.logLines(output, cmd.Process.Pid) })
	err := cmd.Wait()
	p.mu.Lock()
	p.cmd = nil
	p.mu.Unlock()
	_ = input.Close() // ends logLines
	lines.Wait()
	status := "exited 0"
	if err != nil {
		status = err.Error()
	}
	if cmd.ProcessState.ExitCode() == 127 {
		p.log.kong(levelError, "process.lua",
			"[pluginserver] external pluginserver %q start command %q exited with \"command not found\"",
			p.server.Name, p.server.StartCmd)
	}
	p.log.kong(levelNotice, "process.lua", "external pluginserver '%s' terminated: %s", p.server.Name, status)
}

// begin starts the command unless the server is to be stopped.
func (p *serverProcess) begin(ctx context.Context, cmd *exec.Cmd) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() != nil {
		return false
	}
	if err := cmd.Start(); err != nil {
		p.log.kong(levelError, "process.lua", "[pluginserver] %s: %v", p.server.Name, err)
		return false
	}
	p.cmd = cmd
	p.log.kong(levelNotice, "process.lua", "[pluginserver] started, pid %d", cmd.Process.Pid)
	return true
}

func (p *serverProcess) logLines(output io.Reader, pid int) {
	lines := bufio.NewReaderSize(output, maxLogLine)
	for {
		line, err := lines.ReadSlice('\n')
		if len(line) > 0 {
			p.log.print(levelInfo, 0, fmt.Sprintf("[%s:%d] %s", p.server.Name, pid, line), "")
		}
		if err != nil && err != bufio.ErrBufferFull {
			return
		}
	}
}

// close asks the server to end, and soon kills it.
func (p *serverProcess) close() {
	p.stop()
	p.signal(syscall.SIGTERM)
	p.log.kong(levelNotice, "process.lua", "[pluginserver] successfully stopped pluginserver '%s'", p.server.Name)
	select {
	case <-p.done:
	case <-time.After(killTime):
		p.signal(syscall.SIGKILL)
		<-p.done
	}
}

func (p *serverProcess) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(s) // an error says that it has ended
	}
}
