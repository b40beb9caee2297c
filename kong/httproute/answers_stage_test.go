package httproute_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"kong-traffic-split/kong/httproute"
	"kong-traffic-split/kong/standin"
)

// stage has backends, and for each form a stand-in with the plugin beside it.
type stage struct {
	plugin    string // the executable
	dir       string
	addresses []httproute.Address
	byAddress map[string]string // the backends, by their addresses
	gateways  map[form]*gatewayOf
	started   int // of them, so far
	pinned    int // requests that began a session
	current   *gatewayOf
	client    *http.Client
}

type gatewayOf struct {
	node
	plugin *exec.Cmd
}

// node is a stand-in or a real Kong.
type node interface {
	ProxyAddr() string
	AdminAddr() string
	Close() error
}

// echoed are headers of each backend's responses, as clients get them.
var echoed = map[string]string{"rule-a": "echo", "backend-a": "echo", "rule-b": "echo"}

// newStage builds the plugin server, and starts a backend for each port of a Service.
func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{dir: t.TempDir(), byAddress: map[string]string{}, gateways: map[form]*gatewayOf{}, client: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	s.plugin = filepath.Join(s.dir, "traffic-split")
	if out, err := exec.Command("go", "build", "-o", s.plugin, "kong-traffic-split/cmd/traffic-split").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	dump, err := exec.Command(s.plugin, "-dump").Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "dump"), dump, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, service := range services {
		for _, port := range []int{80, 81} {
			name := service + ":" + strconv.Itoa(port)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { echo(w, r, name) }))
			t.Cleanup(server.Close)
			host, portText, _ := net.SplitHostPort(server.Listener.Addr().String())
			hostPort, _ := strconv.Atoi(portText)
			namespace, short, _ := strings.Cut(service, "/")
			s.addresses = append(s.addresses, httproute.Address{Namespace: namespace, Name: short, Port: port, Host: host, HostPort: hostPort})
			s.byAddress[server.Listener.Addr().String()] = name
		}
	}
	t.Cleanup(func() {
		for _, g := range s.gateways {
			_ = g.end()
		}
	})
	return s
}

// echo says what a backend got in headers of its answer.
func echo(w http.ResponseWriter, r *http.Request, name string) {
	for header, value := range echoed {
		w.Header().Set(header, value)
	}
	w.Header().Set("Echo-Name", name)
	w.Header().Set("Echo-Path", r.RequestURI)
	w.Header().Set("Echo-Host", r.Host)
	request := map[string]string{}
	for header, values := range r.Header {
		if header = strings.ToLower(header); strings.HasPrefix(header, "x-") && len(header) == len("x-a") {
			request[header] = strings.Join(values, ", ")
		}
	}
	w.Header().Set("Echo-Request", strings.ReplaceAll(listed(request), "\n", "|"))
}

// start starts a plugin server, with a split file or without, and a stand-in.
func (s *stage) start(f form, splits []byte) (*gatewayOf, error) {
	s.started++
	name := filepath.Join(s.dir, strconv.Itoa(s.started))
	arguments := []string{"-supervise=false", "-socket", name + ".socket"}
	if f.to == httproute.Splits {
		if err := os.WriteFile(name+".yaml", splits, 0o600); err != nil {
			return nil, err
		}
		arguments = append(arguments, "-file", name+".yaml")
	}
	g := &gatewayOf{plugin: exec.Command(s.plugin, arguments...)}
	if err := g.plugin.Start(); err != nil {
		return nil, err
	}
	err := await(func() bool {
		c, err := net.Dial("unix", name+".socket")
		return err == nil && c.Close() == nil
	})
	if err == nil && kongPath != "" {
		g.node, err = s.startKong(f, name+".socket")
	} else if err == nil {
		g.node, err = s.startStandin(f, name+".socket")
	}
	if err != nil {
		return nil, errors.Join(err, g.plugin.Process.Kill(), g.plugin.Wait())
	}
	return g, nil
}

func (s *stage) startStandin(f form, socket string) (*standin.Gateway, error) {
	g, err := standin.New(standin.Options{
		ProxyListen: "127.0.0.1:0", AdminListen: "127.0.0.1:0", Prefix: s.dir, RouterFlavor: f.flavor, Workers: 2, ErrorLog: io.Discard,
		PluginServers: []standin.PluginServer{{Name: "traffic-split", Socket: socket, QueryCmd: "cat " + filepath.Join(s.dir, "dump")}},
	})
	if err != nil {
		return nil, err
	}
	return g, g.Start()
}

func (g *gatewayOf) end() error {
	err := errors.Join(g.plugin.Process.Kill(), g.Close())
	_ = g.plugin.Wait() // it was killed
	return err
}

// load has the gateway of a form go on with what came of a conversion. A split file is
// read by a plugin server of its own: one that lacks splits waits before it uses it.
func (s *stage) load(f form, out *httproute.Output) error {
	g := s.gateways[f]
	if g != nil && f.to == httproute.Splits {
		if err := g.end(); err != nil {
			return err
		}
		g = nil
	}
	if g == nil {
		var err error
		if g, err = s.start(f, out.Splits); err != nil {
			return err
		}
		s.gateways[f] = g
	}
	s.current = g
	logged := 0
	real, isReal := g.node.(*kong)
	if isReal {
		logged = len(real.log())
	}
	response, err := http.Post("http://"+g.AdminAddr()+"/config", "application/yaml", bytes.NewReader(out.Kong))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		why, _ := io.ReadAll(response.Body)
		return fmt.Errorf("%s: %s", response.Status, why)
	}
	if isReal {
		return real.reconfigured(logged)
	}
	return nil
}

// send sends a call once. It returns the cookies of the answer, too.
func (s *stage) send(c call, cookies ...*http.Cookie) (seen, []*http.Cookie, error) {
	r, err := http.NewRequest(c.method, "http://"+s.current.ProxyAddr()+c.path, http.NoBody)
	if err != nil {
		return seen{}, nil, err
	}
	r.URL.RawQuery = c.query
	r.Host = c.host
	for _, cookie := range cookies {
		r.AddCookie(cookie)
	}
	for name, value := range c.headers {
		r.Header.Set(name, value)
	}
	response, err := s.client.Do(r)
	if err != nil {
		return seen{}, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return seen{}, nil, err
	}
	h := response.Header
	out := seen{status: response.StatusCode}
	if location := h.Get("Location"); location != "" {
		out.path = alike(location)
		return out, response.Cookies(), nil
	}
	if out.status != http.StatusOK {
		if h.Get("Echo-Name") != "" || out.status != 404 && out.status != 500 {
			return out, nil, errors.New(response.Status + ": " + string(body))
		}
		return out, response.Cookies(), nil
	}
	out.backend, out.path, out.host = h.Get("Echo-Name"), h.Get("Echo-Path"), h.Get("Echo-Host")
	if s.byAddress[out.host] == out.backend {
		out.host = "backend"
	}
	out.request = strings.ReplaceAll(h.Get("Echo-Request"), "|", "\n")
	got := map[string]string{}
	for name, values := range h {
		if name = strings.ToLower(name); slices.ContainsFunc([]string{"rule-", "backend-"}, func(p string) bool { return strings.HasPrefix(name, p) }) {
			got[name] = inOrder(values)
		}
	}
	out.response = listed(got)
	return out, response.Cookies(), nil
}
