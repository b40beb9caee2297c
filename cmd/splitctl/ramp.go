package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/rollout"
)

func rampCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ramp",
		Short: "Begin a ramp, hold it, have it go on, or end it",
	}
	type command = func(*config.Config, time.Time) (rollout.Change, error)
	for _, c := range []struct {
		name, short, long string
		command           command
		onward            bool
	}{
		{"hold", "Have the share stay as it is", "Has the share stay at what it is now, whatever the clock says.", rollout.Hold, false},
		{"resume", "Have a ramp that is held go on", `Has a ramp that is held go on from the share that it has: its start moves. In a ramp
with steps, the step of that share begins now.`, rollout.Resume, true},
		{"finish", "Leave plain weights in place of a ramp", `Takes out a ramp that is at its end, or held, and leaves weights that give the share
that it has.`, rollout.Finish, true},
		{"abort", "Take the share to 0", "Takes the share of the ramp's backend to 0, and holds it there.", rollout.Abort, false},
	} {
		flags := steerFlags{onward: c.onward, finish: c.name == "finish", hold: c.name == "hold"}
		sub := &cobra.Command{
			Use: c.name + " SPLIT", Short: c.short, Long: c.long + "\n\n" + steerLong, Args: cobra.ExactArgs(1),
			RunE:              func(cmd *cobra.Command, args []string) error { return flags.run(cmd, args[0], c.command) },
			ValidArgsFunction: completeSteered(false, ""),
		}
		flags.add(sub)
		cmd.AddCommand(sub)
	}
	cmd.AddCommand(rampStartCommand(), rampWidenCommand())
	return cmd
}

func rampWidenCommand() *cobra.Command {
	flags := steerFlags{onward: true}
	cmd := &cobra.Command{
		Use:   "widen SPLIT [PERCENT]",
		Short: "Have a ramp go on at once",
		Long: `Has a ramp go on at once: to its next step, or to a share. One that is held stays so,
at the new share.

` + steerLong,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			var to *float64
			if len(args) == 2 {
				share, err := parseShare(args[1])
				if err != nil {
					return err
				}
				to = &share
			}
			return flags.run(cmd, args[0], func(c *config.Config, now time.Time) (rollout.Change, error) {
				return rollout.Widen(c, to, now)
			})
		},
	}
	cmd.ValidArgsFunction = completeSteered(false, "")
	flags.add(cmd)
	return cmd
}

func rampStartCommand() *cobra.Command {
	var flags steerFlags
	from, to := percent(0), percent(100)
	var duration time.Duration
	var steps int
	var plan string
	var guard []string
	cmd := &cobra.Command{
		Use:   "start SPLIT [BACKEND]",
		Short: "Begin a ramp now",
		Long: `Begins a ramp of a backend's share now. Where the split has a ramp, it begins anew, with
what the flags say in place of what it had.

` + steerLong,
		Example: `  splitctl ramp start shop canary --plan 5:10m,20,50:10m,100 --guard max_error_ratio=0.05 --file splits.yaml
  splitctl ramp start shop canary --duration 1h --file splits.yaml`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			var s rollout.Start
			given := cmd.Flags().Changed
			if len(args) == 2 {
				s.Backend = args[1]
			}
			if given("from") {
				s.From = (*float64)(&from)
			}
			if given("to") {
				s.To = (*float64)(&to)
			}
			if given("duration") && duration <= 0 {
				return fmt.Errorf("--duration %v: a ramp takes some time", duration)
			}
			if s.Duration = config.InSeconds(duration); given("steps") {
				s.Steps = &steps
			}
			var err error
			if s.Plan, err = parsePlan(plan); err != nil {
				return err
			}
			if s.Guard, err = parseGuard(guard); err != nil {
				return err
			}
			return flags.run(cmd, args[0], func(c *config.Config, now time.Time) (rollout.Change, error) {
				return rollout.Begin(c, s, now)
			})
		},
	}
	cmd.ValidArgsFunction = completeSteered(true, "")
	flags.add(cmd)
	f := cmd.Flags()
	f.Var(&from, "from", "the share to begin with, in `percent` (default: what it is)")
	f.Lookup("from").DefValue = "0" // not shown
	f.Var(&to, "to", "the share at the end, in `percent`")
	f.DurationVar(&duration, "duration", 0, "from the start to the end, as in 90s or 24h")
	f.IntVar(&steps, "steps", 0, "in how `many` equal steps (default: continuously)")
	f.StringVar(&plan, "plan", "", "instead: steps of any size, `share:time,...`; one without a time waits for ramp widen")
	f.StringArrayVar(&guard, "guard", nil, "a parameter of the guard, `name=value`, as in max_error_ratio=0.05; may be repeated")
	completeFlag(cmd, "guard", func(*cobra.Command, []string, string) (names []string, _ cobra.ShellCompDirective) {
		for _, key := range config.GuardKeys() {
			names = append(names, key+"=")
		}
		return names, directive("=")
	})
	return cmd
}

// percent is a flag's share.
type percent float64

func (p *percent) String() string { return strconv.FormatFloat(float64(*p), 'f', -1, 64) }
func (p *percent) Type() string   { return "percent" }

// Set implements [pflag.Value].
func (p *percent) Set(text string) error {
	share, err := parseShare(text)
	*p = percent(share)
	return err
}

// parseShare parses a number of percent.
func parseShare(text string) (float64, error) {
	share, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
	if err != nil || !(share >= 0 && share <= 100) {
		return 0, fmt.Errorf("%q is not a share of 0 to 100 percent", text)
	}
	return share, nil
}

// parsePlan parses a plan such as 5:10m,20,100.
func parsePlan(text string) (plan []config.PlanStep, err error) {
	if text == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		var step config.PlanStep
		share, duration, timed := strings.Cut(strings.TrimSpace(part), ":")
		if step.Share, err = parseShare(share); err != nil {
			return nil, fmt.Errorf("--plan: %w", err)
		}
		if timed {
			d, err := time.ParseDuration(duration)
			if err != nil || d <= 0 {
				return nil, fmt.Errorf("--plan: %q is not a time such as 10m", duration)
			}
			step.For = config.InSeconds(d)
		}
		plan = append(plan, step)
	}
	return plan, nil
}

// parseGuard parses parameters of a guard. Which there are is up to the config's checks.
func parseGuard(texts []string) (guard []config.Member, err error) {
	for _, text := range texts {
		key, value, ok := strings.Cut(text, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("--guard %q is not of the form name=value, as in max_error_ratio=0.05", text)
		}
		guard = append(guard, config.Member{Key: key, Value: rollout.Value(value)})
	}
	return guard, nil
}
