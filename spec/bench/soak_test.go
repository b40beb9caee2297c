package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// A short soak goes through all that the whole one does, and tells the memory of
// the two processes, each with more than a Go program can do without.
func TestSoak(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("memory is read as Linux tells it: ", err)
	}
	s := soak{rows: 20, backends: 16, conns: 4, events: 100, reloads: 40, parts: 2, rowsPerReload: 3}
	points, err := s.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []point{
		{Instances: 0, Events: 0, Reloads: 0},
		{Instances: 20, Events: 0, Reloads: 0},
		{Instances: 20, Events: 50, Reloads: 0},
		{Instances: 20, Events: 100, Reloads: 0},
		{Instances: 20, Events: 100, Reloads: 20},
		{Instances: 20, Events: 100, Reloads: 40},
	}
	if diff := cmp.Diff(want, points, cmpopts.IgnoreFields(point{}, "ServingKiB", "KeeperKiB")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, p := range points {
		if least := 1 << 10; p.ServingKiB < least || p.KeeperKiB < least {
			t.Errorf("less than %d KiB: %+v", least, p)
		}
	}
}

func TestTableOfPoints(t *testing.T) {
	var out strings.Builder
	err := writePoints(&out, []point{
		{ServingKiB: 9 << 10, KeeperKiB: 8 << 10},
		{Instances: 1000, Events: 1_000_000, Reloads: 10_000, ServingKiB: 51 << 9, KeeperKiB: 123456},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `   instances    events   reloads   serving MiB   keeper MiB
           0         0         0           9.0          8.0
        1000   1000000     10000          25.5        120.6
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
