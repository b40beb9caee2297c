// Package demo owns the demo, which plays a scene on this machine without Kong: it starts
// two echo backends and the stand-in gateway, which starts the plugin server, and sends
// requests: the guide's two rounds, or those of a rollout that fails.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"kong-traffic-split/kong/standin"
)

const (
	pluginName = "traffic-split"
	// workers is how many of Kong's worker processes are simulated.
	workers = 4
	// startTime is how long the plugin server may take to listen.
	startTime = 10 * time.Second
)

// Progress is told what the demo does, and, where it can be said, how far that has come.
// Nothing is under way if both are empty.
type Progress func(what, detail string)

// A Demo is the running gateway and backends. Its methods are not safe for concurrent use.
type Demo struct {
	scene    Scene
	progress Progress
	dir      string
	programs programs
	backends []*echo
	config   *configuration
	log      *os.File // the gateway's error log
	gateway  *standin.Gateway
	proxy    string // URL of the gateway
	admin    string // URL of its Admin API
	status   string // address of the plugin server's status
	traffic  *traffic
}

// Start starts the backends and the gateway. After an error nothing is left running.
func Start(ctx context.Context, scene Scene, progress Progress) (*Demo, error) {
	d := &Demo{scene: scene, progress: progress}
	err := d.start(ctx)
	progress("", "")
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *Demo) start(ctx context.Context) error {
	var err error
	// Not in $TMPDIR, which may be too long for the path of a socket.
	if d.dir, err = os.MkdirTemp("/tmp", "traffic-split-"); err != nil {
		return err
	}
	if d.programs, err = findOrBuild(ctx, d.dir, d.progress); err != nil {
		return err
	}
	d.progress("starting two backends, the plugin server and the gateway", "")
	for _, name := range d.scene.backends {
		e, err := startEcho(ctx, d.programs.echo, name)
		if err != nil {
			return err
		}
		d.backends = append(d.backends, e)
	}
	if d.config, err = newConfiguration(d.scene, d.backends); err != nil {
		return err
	}
	return d.startGateway(ctx)
}

func (d *Demo) startGateway(ctx context.Context) error {
	if err := d.writeConfig(); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(d.dir, "error.log"))
	if err != nil {
		return err
	}
	d.log = log
	if d.status, err = freeAddress(); err != nil {
		return err
	}
	resolve := map[string]string{}
	for _, name := range d.scene.backends {
		resolve[name] = "127.0.0.1"
	}
	gateway, err := standin.New(standin.Options{
		DeclarativeConfig: d.configFile(),
		ProxyListen:       "127.0.0.1:0",
		AdminListen:       "127.0.0.1:0",
		Prefix:            d.dir,
		Plugins:           []string{"bundled", pluginName},
		PluginServers: []standin.PluginServer{{
			Name:     pluginName,
			StartCmd: fmt.Sprintf("'%s' -takeover -kong-prefix '%s' -status-listen %s %s", d.programs.plugin, d.dir, d.status, d.scene.flags),
			QueryCmd: fmt.Sprintf("'%s' -kong-prefix '%s' %s -dump", d.programs.plugin, d.dir, d.scene.flags),
		}},
		Workers:  workers,
		ErrorLog: log,
		Resolve:  resolve,
	})
	if err != nil {
		return err
	}
	if err := gateway.Start(); err != nil {
		return err
	}
	d.gateway = gateway
	d.proxy = "http://" + d.gateway.ProxyAddr()
	d.admin = "http://" + d.gateway.AdminAddr()
	// Until its socket is there Kong answers each request with 500.
	for _, place := range [][2]string{{"unix", filepath.Join(d.dir, pluginName+".socket")}, {"tcp", d.status}} {
		if err := await(ctx, place[0], place[1]); err != nil {
			return fmt.Errorf("%w; its log says:\n%s", err, d.tail())
		}
	}
	return nil
}

// freeAddress returns an address that nobody listens on at the moment.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// await waits until the plugin server, which the gateway has started, listens there.
func await(ctx context.Context, network, address string) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		conn, err := net.Dial(network, address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("the plugin server does not listen: %w", err)
		}
	}
}

// tail returns the end of the gateway's log.
func (d *Demo) tail() string {
	text, err := os.ReadFile(d.log.Name())
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}

// Page is the URL of the page that shows the split live.
func (d *Demo) Page() string { return "http://" + d.status + "/" }

func (d *Demo) configFile() string { return filepath.Join(d.dir, "kong.yml") }

func (d *Demo) writeConfig() error {
	text, err := d.config.file.YAML()
	if err != nil {
		return err
	}
	return os.WriteFile(d.configFile(), text, 0o644)
}

// apply gives the configuration to the running gateway, as decK or curl does.
func (d *Demo) apply(ctx context.Context) error {
	if err := d.writeConfig(); err != nil {
		return err
	}
	text, err := os.Open(d.configFile())
	if err != nil {
		return err
	}
	defer text.Close()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.admin+"/config", text)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "text/yaml")
	resp, err := newClient().Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		answer, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("the gateway refused the new configuration: %s: %s", resp.Status, answer)
	}
	return nil
}

// Close ends everything that runs and removes its files.
func (d *Demo) Close() error {
	var errs []error
	if d.traffic != nil {
		d.traffic.stop()
	}
	if d.gateway != nil {
		errs = append(errs, d.gateway.Close())
	}
	for _, e := range d.backends {
		e.stop()
	}
	if d.log != nil {
		errs = append(errs, d.log.Close())
	}
	if d.dir != "" {
		errs = append(errs, remove(d.dir))
	}
	return errors.Join(errs...)
}

// remove removes a folder. On a busy machine the gateway kills a plugin server that is slow
// to end, as Kong does, and what that leaves may write there for a moment more.
func remove(dir string) error {
	for deadline := time.Now().Add(stopTime); ; time.Sleep(lookPause) {
		if err := os.RemoveAll(dir); err == nil || time.Now().After(deadline) {
			return err
		}
	}
}
