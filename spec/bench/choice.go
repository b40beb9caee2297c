package main

import (
	"encoding/json"
	"fmt"
	"time"

	pdk "github.com/Kong/go-pdk"
	"github.com/Kong/go-pdk/bridge"
	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"kong-traffic-split/plugin/split"
)

// A config is what a plugin row of a case says.
type config struct {
	ID    int32 `json:"__seq__"`
	Calls int   `json:"calls"`
	Reads int   `json:"reads"`
}

// A call is one of Kong's PDK, prepared once, as the plugin prepares its own.
type call struct {
	method string
	args   proto.Message
}

// A choice is the plugin of all the servers: it reads, chooses a backend and
// tells Kong about it. It is made from the JSON of a config, and safe for
// concurrent use.
type choice struct {
	reads    []read
	split    *split.Split
	state    *split.State
	backends [][]call // what each is told with
}

// UnmarshalJSON is also how the stock server makes an instance.
func (c *choice) UnmarshalJSON(data []byte) error {
	var row config
	if err := json.Unmarshal(data, &row); err != nil {
		return err
	}
	c.split = &split.Split{Backends: backends(), Algorithm: split.Smooth}
	if row.Reads == len(reads) {
		c.split = everything()
	}
	c.state = split.NewState(c.split)
	c.backends = nil
	for _, b := range c.split.Backends {
		calls := callsFor(b.Name)
		if row.Calls > len(calls) || row.Reads > len(reads) {
			return fmt.Errorf("%d calls and %d reads are more than the %d and %d that there are",
				row.Calls, row.Reads, len(calls), len(reads))
		}
		c.backends = append(c.backends, calls[:row.Calls])
	}
	c.reads = reads[:row.Reads]
	return nil
}

// access is the phase that is measured.
func (c *choice) access(kong *pdk.PDK) error {
	f := split.Facts{Now: time.Now()}
	for _, read := range c.reads {
		reply, err := kong.Request.AskString(read.method, read.args)
		if err != nil {
			return err
		}
		read.take(&f, reply)
	}
	d, err := split.Decide(c.split, c.state, &f)
	if err != nil {
		return err
	}
	for _, tell := range c.backends[d.Backend] {
		if tell.method == addCookie && d.SetCookie != "" {
			tell.args = kv("set-cookie", d.SetCookie)
		}
		if err := kong.Service.Ask(tell.method, tell.args, nil); err != nil {
			return err
		}
	}
	return nil
}

// addCookie is the method that a session's cookie is set by.
const addCookie = "kong.response.add_header"

// callsFor are calls that return nothing, in the order in which a split makes
// the first few of them.
func callsFor(backend string) []call {
	return []call{
		{"kong.service.set_target", &pb.Target{Host: backend + ".internal", Port: 8080}},
		{"kong.response.set_header", kv("x-backend", backend)},
		{"kong.service.request.set_header", kv("host", backend+".internal:8080")},
		{"kong.service.request.add_header", kv("x-variant", backend)},
		{addCookie, kv("set-cookie", "session="+backend+"; Path=/; HttpOnly")},
		{"kong.service.request.set_scheme", bridge.WrapString("http")},
		{"kong.service.request.set_path", bridge.WrapString("/" + backend + "/orders")},
		{"kong.service.request.set_headers", &structpb.Struct{Fields: map[string]*structpb.Value{
			"x-internal": structpb.NewListValue(&structpb.ListValue{}), // is removed
		}}},
		{"kong.log.set_serialize_value", kv("backend", backend)},
		{"kong.ctx.shared.set", kv("backend", backend)},
	}
}

func kv(name, value string) proto.Message {
	return &pb.KV{K: name, V: structpb.NewStringValue(value)}
}
