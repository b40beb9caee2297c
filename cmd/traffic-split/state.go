package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/server"
	"kong-traffic-split/plugin/state"
	"kong-traffic-split/plugin/status"
)

// persistent are the values that are in the file. The instances that Kong knows are not: a
// Kong that is given none starts them anew, and they have secrets in them, as split
// files have.
var persistent = []state.Kept{
	{Prefix: server.ReservedIDs},
	{Prefix: "split/", For: 30 * 24 * time.Hour}, // Kong does not say that a row is deleted
	{Prefix: "unhealthy/"},
	{Prefix: "recovered/", For: 24 * time.Hour},        // as long as a slow start at most
	{Prefix: plugin.SavedConfigs, For: 26 * time.Hour}, // a day after their last use, as they say themselves
}

// A file that a limit does not let grow (ulimit -f) is an error of the write like
// any other, and not the end of the process.
func init() { signal.Ignore(syscall.SIGXFSZ) }

// refreshPause is how often what is in use is saved again, so that it does not grow
// old in the file.
const refreshPause = time.Hour

// defaultState is where the state is saved unless -state says otherwise; empty: nowhere.
func defaultState() string {
	folders := filepath.SplitList(os.Getenv("STATE_DIRECTORY"))
	if len(folders) == 0 {
		return ""
	}
	return filepath.Join(folders[0], plugin.Name+".state")
}

// openState opens the file of the saved state, for whoever is the last to know it: the
// parent process, or where there is none the one that serves.
func openState(path string, log *slog.Logger) *state.File {
	return state.OpenFile(path, log, persistent...)
}

// stateOf describes how saved outlives the server.
func stateOf(path string, saved state.Store) status.SavedState {
	s := status.SavedState{Path: path, PutAside: state.PutAside(path)}
	if problem := saved.Get(state.ProblemKey); problem == nil {
		s.Problem = "the parent process is of an older version, which saves nothing: restart the server"
	} else {
		s.Problem = string(problem)
	}
	return s
}

// each calls do at that pace until the context ends.
func each(ctx context.Context, pace time.Duration, do func()) {
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			do()
		case <-ctx.Done():
			return
		}
	}
}
