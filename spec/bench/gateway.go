package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	pdk "github.com/Kong/go-pdk"
	stockserver "github.com/Kong/go-pdk/server"

	"kong-traffic-split/spec/bench/gateway"
)

// The plugin on go-pdk's own server that a real Kong is measured with.
const stockPlugin = "bench-stock"

// stockTarget is that plugin: it makes so many of a split's two calls.
type stockTarget struct {
	Calls int    `json:"calls"`
	Host  string `json:"host"`
	Port  int    `json:"port"`
}

// Access is called by go-pdk's server.
func (s *stockTarget) Access(kong *pdk.PDK) {
	if s.Calls > 0 {
		if err := kong.Service.SetTarget(s.Host, s.Port); err != nil {
			log.Print(err)
		}
	}
	if s.Calls > 1 {
		if err := kong.ServiceRequest.SetHeader("Host", fmt.Sprintf("%s:%d", s.Host, s.Port)); err != nil {
			log.Print(err)
		}
	}
}

func serveStockTarget(dir string) error {
	endWithStdin()
	os.Args = []string{os.Args[0], "-kong-prefix", dir} // where it takes the path from
	return stockserver.StartServer(func() any { return &stockTarget{} }, "1.0.0", 20)
}

// stockInfo is the plugin's info, as Kong's query_cmd prints it.
func stockInfo(socket string) ([]byte, error) {
	type object = map[string]any
	return json.Marshal(object{
		"Protocol": "ProtoBuf:1", "SocketPath": socket,
		"Plugins": []object{{
			"Name": stockPlugin, "Version": "1.0.0", "Priority": 20, "Phases": []string{"access"},
			"Schema": object{"name": stockPlugin, "fields": []object{{"config": object{"type": "record", "fields": []object{
				{"calls": object{"type": "integer"}},
				{"host": object{"type": "string"}},
				{"port": object{"type": "integer"}},
			}}}}},
		}},
	})
}

// startFor starts the server of a plugin of the measurement on a real Kong.
func startFor(ctx context.Context, plugin, dir string) (gateway.Server, error) {
	if plugin != stockPlugin {
		p, err := startPlugin(ctx, dir)
		if err != nil {
			return gateway.Server{}, err
		}
		return gateway.Server{Socket: p.socket, Query: filepath.Join(dir, "traffic-split") + " -dump", Stop: p.stop}, nil
	}
	p, err := start(ctx, stockPlugin, dir)
	if err != nil {
		return gateway.Server{}, err
	}
	info, err := stockInfo(p.socket)
	if err != nil {
		return gateway.Server{}, err
	}
	file := filepath.Join(dir, stockPlugin+".json")
	return gateway.Server{Socket: p.socket, Query: "cat " + file, Stop: p.stop}, os.WriteFile(file, info, 0o644)
}

// measureKong measures on a real Kong and writes the figures to stdout.
func measureKong(ctx context.Context, o options, stdout, stderr io.Writer) error {
	o.gateway.Log, o.gateway.Start = stderr, startFor
	report, err := gateway.Run(ctx, o.gateway)
	if err != nil {
		return err
	}
	if o.asJSON {
		return report.WriteJSON(stdout)
	}
	return report.WriteTable(stdout)
}
