package main

import (
	"bytes"
	"encoding/json"
	"net"

	pdk "github.com/Kong/go-pdk"

	"kong-traffic-split/kong/wire"
)

// prepared is what the raw server answers each event of an instance with.
type prepared struct {
	ask   []byte // the calls that read
	reads int    // how many they are
	tell  []byte // the calls that return nothing, and the frame that ends all calls
	owed  int    // how many they are, and so the replies that come after the return
}

// prepare lets the plugin run once, with Kong's config of a row, and keeps what
// go-pdk writes.
func prepare(row []byte) (id int32, p *prepared, err error) {
	var asked config
	var c choice
	if err := json.Unmarshal(row, &asked); err != nil {
		return 0, nil, err
	}
	if err := json.Unmarshal(row, &c); err != nil {
		return 0, nil, err
	}
	var rec recorder
	if err := c.access(pdk.Init(&rec)); err != nil {
		return 0, nil, err
	}
	written := rec.written.Bytes()
	rest := bytes.NewReader(written)
	for range 2 * asked.Reads { // a method and its arguments each
		if _, err := wire.ReadFrame(rest, nil); err != nil {
			return 0, nil, err
		}
	}
	asking := len(written) - rest.Len()
	return asked.ID, &prepared{
		ask:   written[:asking],
		reads: asked.Reads,
		tell:  wire.AppendFrame(written[asking:], nil),
		owed:  asked.Calls,
	}, nil
}

// A recorder is the connection under a go-pdk to which Kong replies to
// everything with an empty frame.
type recorder struct {
	net.Conn // nil: go-pdk only reads and writes
	written  bytes.Buffer
}

func (r *recorder) Write(p []byte) (int, error) { return r.written.Write(p) }

func (r *recorder) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
