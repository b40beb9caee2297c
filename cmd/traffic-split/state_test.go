package main

import (
	"log/slog"
	"path/filepath"
	"testing"

	"kong-traffic-split/plugin/server"
)

// The ids that are reserved outlive the server, so that none is given to another row.
// The instances, which have secrets in them, do not.
func TestWhatIsInTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	log := slog.New(slog.DiscardHandler)
	saved := openState(path, log)
	for _, key := range []string{server.ReservedIDs, "instance/1048577", "tree/ids", "split/a", "unhealthy/b"} {
		saved.Set(key, []byte("x"))
	}
	saved.Close()
	saved = openState(path, log)
	defer saved.Close()
	for key, want := range map[string]bool{
		server.ReservedIDs: true, "instance/1048577": false, "tree/ids": false, "split/a": true, "unhealthy/b": true,
	} {
		if got := saved.Get(key) != nil; got != want {
			t.Errorf("%s is there: %v, want %v", key, got, want)
		}
	}
}
