package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"kong-traffic-split/cmd/command"
	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/file"
	"kong-traffic-split/plugin/rollout"
	"kong-traffic-split/plugin/status"
)

// steerFlags are the flags of the commands that change a split: where its config is, and
// what to wait for.
type steerFlags struct {
	file        string // a split file, or
	adminFlags         // Kong's Admin API, and
	declarative string // where Kong has no database, the file
	force       bool
	dryRun      bool
	endSessions bool
	onward      bool // the command has a ramp go on from where it is, or ends it there
	finish      bool // it ends it there
	hold        bool // the command has a ramp stay where it is
	wait        []string
	timeout     time.Duration
	output      string
}

func (s *steerFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.file, "file", "", "the split file, or the `folder` of them")
	f.BoolVar(&s.dryRun, "dry-run", false, "show what would change, and change nothing")
	f.BoolVar(&s.endSessions, "end-sessions", false, "end all sessions of the split with this change")
	f.StringArrayVar(&s.wait, "wait", nil, "wait until the server with this status `address` uses the change; may be repeated")
	f.DurationVar(&s.timeout, "timeout", 30*time.Second, "for how long to wait")
	s.adminFlags.add(f)
	f.StringVar(&s.declarative, "declarative", "", "where Kong has no database, its declarative `file`")
	f.BoolVar(&s.force, "force", false, "post the declarative file even if Kong has what the file has not")
	addOutput(cmd, &s.output, "text", "json")
	cmd.MarkFlagsOneRequired("file", "admin", "declarative")
	cmd.MarkFlagsMutuallyExclusive("file", "admin")
	cmd.MarkFlagsMutuallyExclusive("file", "declarative")
}

// steered is what has become of a split, wherever its config is.
type steered struct {
	place      string // the file, or Kong
	identity   string // what /status calls it
	difference []string
	was, is    *config.Config
}

// lockTime is for how long to wait for somebody else who writes the same file.
const lockTime = 10 * time.Second

// run changes a split as a command decides, says what has changed, and waits for it.
func (s *steerFlags) run(cmd *cobra.Command, split string, command func(*config.Config, time.Time) (rollout.Change, error)) error {
	if s.timeout <= 0 {
		return fmt.Errorf("--timeout %v: nothing could be waited for", s.timeout)
	}
	if err := oneOf("output", s.output, "text", "json"); err != nil {
		return err
	}
	if s.file == "-" || s.declarative == "-" {
		return errors.New("a split is changed in its file, and standard input is none")
	}
	var asked served
	var change rollout.Change
	var now time.Time
	decide := func(identity string, c *config.Config) (_ []config.Edit, err error) {
		now = time.Now()
		if change, err = command(c, now); err == nil && s.endSessions {
			err = rollout.EndSessions(c, &change)
		}
		if err == nil && (s.onward || s.hold) && c.Ramp != nil {
			err = s.asServed(asked, identity, c, now, &change)
		}
		if err != nil {
			err = fmt.Errorf("split %s: %w", split, err)
		}
		return change.Edits, err
	}
	var out *steered
	var err error
	for range askTries {
		if s.onward || s.hold {
			asked = s.ask(cmd.Context())
		}
		if out, err = s.change(cmd.Context(), split, decide); !errors.Is(err, errOutdated) {
			break
		}
	}
	if err != nil {
		return err
	}
	to := cmd.OutOrStdout()
	if s.output == "json" {
		return s.runJSON(cmd.Context(), to, split, out, change, now)
	}
	show(to, split, out, change, now)
	if s.dryRun {
		if len(out.difference) > 0 {
			fmt.Fprintln(to, "nothing is written: --dry-run")
		}
		return nil
	}
	return s.await(cmd.Context(), to, out)
}

// decide returns the edits to make to a split, which /status calls identity.
type decide = func(identity string, c *config.Config) ([]config.Edit, error)

// change changes the split where its config is.
func (s *steerFlags) change(ctx context.Context, split string, decide decide) (*steered, error) {
	switch {
	case s.declarative != "":
		return s.changeDeclarative(ctx, split, decide)
	case s.address != "":
		return s.changeRow(ctx, split, decide)
	}
	ctx, cancel := untilLocked(ctx)
	defer cancel()
	c, err := file.ChangeSplit(ctx, s.file, split, s.dryRun, func(c *config.Config) ([]config.Edit, error) { return decide(split, c) })
	if err != nil {
		return nil, err
	}
	return &steered{c.Path, split, c.Difference, c.Was, c.Is}, nil
}

// served is what the servers that are to be waited for report.
type served struct {
	at      time.Time
	reports []*status.Report // in the order of the flags
	errs    []error          // why one is missing
}

const (
	// askedFor is for how long that is believed: a config that was waited for may have been
	// changed meanwhile, and a step of a ramp may have begun.
	askedFor = 5 * time.Second
	askTries = 3
)

var errOutdated = errors.New("it has taken too long to read the config since the servers were asked what share the ramp has; nothing was written: do it again")

// ask asks them, side by side. Nothing is to be locked meanwhile: one that does not answer
// would hold up who writes the same file.
func (s *steerFlags) ask(ctx context.Context) served {
	out := served{reports: make([]*status.Report, len(s.wait)), errs: make([]error, len(s.wait))}
	var asking sync.WaitGroup
	for i, address := range s.wait {
		asking.Go(func() { out.reports[i], out.errs[i] = status.Fetch(ctx, address) })
	}
	asking.Wait()
	out.at = time.Now()
	return out
}

// asServed compares a change of a ramp with what the servers that are to be waited for do,
// as the config does not say it. One that has rolled the ramp back, or where a step waits
// for its guard, has a smaller share than the config's clock: to go on by that is an error,
// and what is to be held is the smallest share that clients get.
func (s *steerFlags) asServed(asked served, identity string, c *config.Config, now time.Time, change *rollout.Change) error {
	if len(s.wait) > 0 && time.Since(asked.at) > askedFor {
		return errOutdated
	}
	ramp := c.Compile(identity).Ramp
	byClock := ramp.ShareAt(now)
	least := byClock
	for i, address := range s.wait {
		if err := asked.errs[i]; err != nil {
			return fmt.Errorf("what share the ramp has is not known: %s: %w", address, err)
		}
		r := asked.reports[i].Ramp(identity)
		if r == nil {
			continue
		}
		share := int(math.Round(r.Share * 10000))
		if !r.RolledBack.IsZero() {
			if s.onward && !(s.finish && byClock <= share) { // which leaves clients where they are
				return fmt.Errorf("the ramp was rolled back at %s on %s: %s; ramp start begins it anew, ramp abort holds it at 0", r.RolledBack.UTC().Format(time.RFC3339), address, r.Why)
			}
			continue
		}
		if has := r.WaitsFor != "" || r.Behind > 0; !has || !ramp.Waits() || ramp.Hold != nil || share >= byClock {
			continue
		}
		if s.onward {
			return fmt.Errorf("the ramp has %s on %s, as its steps wait for the guard, and would jump from there: by the clock it has %s; ramp hold it first", rollout.Percent(share), address, rollout.Percent(byClock))
		}
		least = min(least, share)
	}
	if least < byClock {
		*change = rollout.HoldAt(least)
		change.Notes = []string{fmt.Sprintf("it is held at what clients get: by the clock it would have %s, and its steps have waited for the guard", rollout.Percent(byClock))}
	} else if s.hold && len(s.wait) == 0 && ramp.Waits() && ramp.Hold == nil {
		change.Notes = append(change.Notes, "this is the share by the clock; where a step waits for the guard, clients got less: with --wait that share is held")
	}
	return nil
}

// untilLocked returns a context that ends when a lock was waited for in vain.
func untilLocked(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, lockTime, fmt.Errorf("it has been locked for %v", lockTime))
}

// show writes what has changed.
func show(to io.Writer, split string, s *steered, change rollout.Change, now time.Time) {
	if len(s.difference) == 0 {
		fmt.Fprintf(to, "%s, split %s: nothing changes\n", s.place, split)
	} else {
		fmt.Fprintf(to, "%s, split %s:\n", s.place, split)
	}
	for _, line := range s.difference {
		fmt.Fprintln(to, line)
	}
	var shares []string
	for _, share := range sharesOf(s, now) {
		text := percentText(share.Is)
		if before := percentText(share.Was); before != text {
			text = before + " → " + text
		}
		shares = append(shares, share.Backend+" "+text)
	}
	fmt.Fprintln(to, "shares: "+strings.Join(shares, ", "))
	if change.Sessions != "" {
		change.Notes = append(change.Notes, change.Sessions)
	}
	for _, note := range change.Notes {
		fmt.Fprintln(to, note)
	}
}

func percentText(percent float64) string {
	return strconv.FormatFloat(percent, 'f', 2, 64) + " %"
}

// await waits until all servers that are named use what a split has become.
func (s *steerFlags) await(ctx context.Context, to io.Writer, out *steered) error {
	if len(s.wait) > 0 && out.identity == "" {
		return errors.New("it is written; it cannot be waited for, as Kong gives the row another id each time: name its route")
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	revision := out.is.Compile(out.identity).Revision
	var failed []error
	for _, address := range s.wait {
		if err := status.Await(ctx, address, out.identity, revision, plugin.Version); err != nil {
			failed = append(failed, err)
			continue
		}
		fmt.Fprintf(to, "in use at %s\n", address)
	}
	if s, ok := errors.AsType[command.Signalled](context.Cause(ctx)); ok {
		return s
	}
	if failed != nil {
		return fmt.Errorf("it is written, but not in use everywhere after %v: %w", s.timeout, errors.Join(failed...))
	}
	return nil
}
