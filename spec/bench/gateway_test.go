package main

import (
	"encoding/json"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"kong-traffic-split/spec/bench/gateway"
)

func TestKongHasRoundsOfItsOwn(t *testing.T) {
	for _, tt := range []struct {
		args   string
		round  time.Duration
		rounds int
	}{
		{"--kong kong", 500 * time.Millisecond, 31},
		{"--kong kong --round 1s --rounds 11", time.Second, 11},
	} {
		o, err := parse(strings.Fields(tt.args), io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if g := o.gateway; g.Kong != "kong" || g.Round != tt.round || g.Rounds != tt.rounds {
			t.Errorf("%s: %q, %v, %d rounds", tt.args, g.Kong, g.Round, g.Rounds)
		}
	}
	if o, err := parse([]string{"--kong", "kong", "--chaos", "1m"}, io.Discard); err != nil || o.gateway.Kong != "" || o.chaos.Kong != "kong" {
		t.Errorf("with --chaos: %q, %q, %v", o.gateway.Kong, o.chaos.Kong, err)
	}
}

// On the real Kong that SPEC_KONG names, each contestant does what it is there for.
func TestMeasureKong(t *testing.T) {
	kong := os.Getenv("SPEC_KONG")
	if kong == "" {
		t.Skip("SPEC_KONG names no Kong")
	}
	var out, log strings.Builder
	if err := command(t.Context(), []string{"--kong", kong, "--round", "100ms", "--rounds", "1", "--output", "json"}, &out, &log); err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	var report gateway.Report
	if err := json.Unmarshal([]byte(out.String()), &report); err != nil {
		t.Fatal(err)
	}
	target, host := "kong.service.set_target", "kong.service.request.set_header"
	calls := map[string][]string{
		"stock0": {}, "stock1": {target}, "stock2": {target, host},
		"ours0": {}, "ours1": {target}, "ours2": {target, host},
	}
	for i, r := range report.Results {
		if r.Name != gateway.Names()[i] || r.PerS < 1 || r.Ratio <= 0 || r.Latency.Median <= 0 || r.Worker <= 0 {
			t.Errorf("%+v", r)
		}
		if want, ok := calls[r.Name]; ok && !slices.Equal(r.Calls, want) {
			t.Errorf("%s calls %q, want %q", r.Name, r.Calls, want)
		}
	}
	if n := len(report.Results); n != len(gateway.Names()) {
		t.Errorf("%d contestants in %s", n, out.String())
	}
}
