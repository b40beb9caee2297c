// Package demo owns the demo, which plays the guide on this machine without Kong: it
// starts two echo backends and the stand-in gateway with kong.yml, which starts the plugin
// server, and sends the guide's two rounds of requests.
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
	"strings"
	"time"

	"kong-traffic-split/kong/standin"
)

const (
	pluginName = "traffic-split"
	// workers is how many of Kong's worker processes are simulated.
	workers = 4
	// startTime is how long the plugin server may take to listen.
	startTime = 10 * time.Second
	// requests is the number of requests of a step.
	requests = 200
)

// rounds are the weights of the guide's steps.
var rounds = []map[string]int{
	{"echo": 1, "echo2": 1},
	{"echo": 200, "echo2": 100},
}

// A Demo is the running gateway and backends. Its methods are not safe for concurrent use.
type Demo struct {
	dir      string
	backends []*echo
	config   *configuration
	log      *os.File // the gateway's error log
	gateway  *standin.Gateway
	proxy    string // URL of the gateway
	admin    string // URL of its Admin API
}

// Start starts the backends and the gateway. After an error nothing is left running.
func Start(ctx context.Context) (*Demo, error) {
	d := &Demo{}
	if err := d.start(ctx); err != nil {
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
	found, err := findOrBuild(ctx, d.dir)
	if err != nil {
		return err
	}
	for _, name := range []string{"echo", "echo2"} {
		e, err := startEcho(ctx, found.echo, name)
		if err != nil {
			return err
		}
		d.backends = append(d.backends, e)
	}
	if d.config, err = newConfiguration(d.backends); err != nil {
		return err
	}
	return d.startGateway(ctx, found.plugin)
}

func (d *Demo) startGateway(ctx context.Context, plugin string) error {
	d.config.setWeights(rounds[0])
	if err := d.writeConfig(); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(d.dir, "error.log"))
	if err != nil {
		return err
	}
	d.log = log
	gateway, err := standin.New(standin.Options{
		DeclarativeConfig: d.configFile(),
		ProxyListen:       "127.0.0.1:0",
		AdminListen:       "127.0.0.1:0",
		Prefix:            d.dir,
		Plugins:           []string{"bundled", pluginName},
		PluginServers: []standin.PluginServer{{
			Name:     pluginName,
			StartCmd: fmt.Sprintf("'%s' -takeover -kong-prefix '%s'", plugin, d.dir),
			QueryCmd: fmt.Sprintf("'%s' -kong-prefix '%s' -dump", plugin, d.dir),
		}},
		Workers:  workers,
		ErrorLog: log,
		Resolve:  map[string]string{"echo": "127.0.0.1", "echo2": "127.0.0.1"},
	})
	if err != nil {
		return err
	}
	if err := gateway.Start(); err != nil {
		return err
	}
	d.gateway = gateway
	if err := awaitSocket(ctx, filepath.Join(d.dir, pluginName+".socket")); err != nil {
		return fmt.Errorf("%w; its log says:\n%s", err, d.tail())
	}
	d.proxy = "http://" + d.gateway.ProxyAddr()
	d.admin = "http://" + d.gateway.AdminAddr()
	return nil
}

// awaitSocket waits until the plugin server, which the gateway has started, listens.
// Until then Kong answers each request with 500.
func awaitSocket(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		conn, err := net.Dial("unix", path)
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

func (d *Demo) configFile() string { return filepath.Join(d.dir, "kong.yml") }

func (d *Demo) writeConfig() error {
	text, err := d.config.file.YAML()
	if err != nil {
		return err
	}
	return os.WriteFile(d.configFile(), text, 0o644)
}

// Play plays the steps and measures what the plugin adds to a request. It writes the
// results to out, and calls progress with what it is doing; an empty string: nothing.
func (d *Demo) Play(ctx context.Context, out io.Writer, progress func(what string)) (*Result, error) {
	result := &Result{}
	client := newClient()
	for i, weights := range rounds {
		if i > 0 {
			if err := d.applyWeights(ctx, weights); err != nil {
				return nil, err
			}
		}
		step := &Step{Weights: weights, Requests: requests, Counts: map[string]int{}}
		err := play(ctx, client, d.proxy, step, func(done int) {
			progress(fmt.Sprintf("%s: %d of %d requests", describe(i, weights), done, requests))
		})
		progress("")
		if err != nil {
			return nil, err
		}
		result.Steps = append(result.Steps, step)
		if err := writeStep(out, describe(i, weights), step); err != nil {
			return nil, err
		}
	}
	progress("measuring the time of a request")
	median, err := addedTime(ctx, d.proxy+"/echo/hostname", d.proxy+plainPath+"/hostname")
	progress("")
	if err != nil {
		return nil, err
	}
	result.Added = milliseconds(median)
	_, err = fmt.Fprintf(out, "The plugin added %.2f ms to a request: the difference of the medians of %d requests\nwith it and without, on the stand-in gateway.\n", result.Added, measured)
	return result, err
}

// applyWeights sets weights on the running gateway, as decK or curl does.
func (d *Demo) applyWeights(ctx context.Context, weights map[string]int) error {
	d.config.setWeights(weights)
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
		return fmt.Errorf("the gateway refused the new weights: %s: %s", resp.Status, answer)
	}
	return nil
}

// Invite writes commands to try on the running gateway.
func (d *Demo) Invite(w io.Writer) error {
	_, err := strings.NewReplacer("PROXY", d.proxy, "ADMIN", d.admin, "FILE", d.configFile(), "LOG", d.log.Name()).WriteString(w, `
The gateway runs until Ctrl-C. To try:

  curl -s "PROXY/echo/hostname?iteration=[1-200]" -w "\n" | sort | uniq -c
  curl -s PROXY/echo/anything
  tail -f LOG

To change weights, edit FILE, and then (the answer is
the whole configuration, or what is wrong with it):

  curl -s -F config=@FILE ADMIN/config
`)
	return err
}

// Close ends everything that runs and removes its files.
func (d *Demo) Close() error {
	var errs []error
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
		errs = append(errs, os.RemoveAll(d.dir))
	}
	return errors.Join(errs...)
}
