package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"kong-traffic-split/plugin/rollout"
)

// steeredShare is a backend's share of new clients, in percent, before a change and after it.
type steeredShare struct {
	Backend string  `json:"backend"`
	Was     float64 `json:"was"`
	Is      float64 `json:"is"`
}

// sharesOf returns the shares of the backends that there are after a change.
func sharesOf(s *steered, now time.Time) (shares []steeredShare) {
	was := map[string]float64{}
	for _, share := range rollout.Shares(s.was, now) {
		was[share.Backend] = share.Percent
	}
	for _, share := range rollout.Shares(s.is, now) {
		shares = append(shares, steeredShare{share.Backend, was[share.Backend], share.Percent})
	}
	return shares
}

// runJSON waits for a change, and writes what has become of the split, for machines.
func (s *steerFlags) runJSON(ctx context.Context, to io.Writer, split string, out *steered, change rollout.Change, now time.Time) error {
	var inUse strings.Builder
	var waited error
	if !s.dryRun {
		waited = s.await(ctx, &inUse, out)
	}
	notes := append([]string{}, change.Notes...)
	if change.Sessions != "" {
		notes = append(notes, change.Sessions)
	}
	err := writeJSON(to, map[string]any{
		"place": out.place, "split": split, "difference": append([]string{}, out.difference...),
		"shares": sharesOf(out, now), "notes": notes, "written": !s.dryRun && len(out.difference) > 0,
		"in_use": addresses(inUse.String()),
	})
	return errors.Join(err, waited)
}

// addresses returns those of lines "in use at ADDRESS".
func addresses(lines string) []string {
	all := []string{}
	for line := range strings.Lines(lines) {
		if address, ok := strings.CutPrefix(strings.TrimSpace(line), "in use at "); ok {
			all = append(all, address)
		}
	}
	return all
}
