package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/rollout"
)

const steerLong = `The change is made in the config, which alone says what happens, and shown. What the
plugin would not take is refused before anything is written.
`

func setCommand() *cobra.Command {
	var flags steerFlags
	cmd := &cobra.Command{
		Use:   "set SPLIT BACKEND=WEIGHT...",
		Short: "Change weights",
		Long: `Sets weights of backends.

` + steerLong,
		Example: "  splitctl set shop stable=80 canary=20 --file splits.yaml --wait 127.0.0.1:8007",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			var weights []rollout.Weight
			for _, arg := range args[1:] {
				i := strings.LastIndexByte(arg, '=')
				if i <= 0 {
					return fmt.Errorf("%q is not of the form backend=weight, as in canary=20", arg)
				}
				weights = append(weights, rollout.Weight{Backend: arg[:i], Text: arg[i+1:]})
			}
			return flags.run(cmd, args[0], func(c *config.Config, _ time.Time) (rollout.Change, error) {
				return rollout.Set(c, weights...)
			})
		},
	}
	cmd.ValidArgsFunction = completeSteered(true, "=")
	flags.add(cmd)
	return cmd
}

func drainCommand() *cobra.Command {
	var flags steerFlags
	cmd := &cobra.Command{
		Use:   "drain SPLIT BACKEND",
		Short: "Have a backend take no new clients",
		Long: `Sets a backend's weight to 0: it takes no new clients, and those who have a session
with it stay.

` + steerLong,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return flags.run(cmd, args[0], func(c *config.Config, _ time.Time) (rollout.Change, error) {
				return rollout.Drain(c, args[1])
			})
		},
	}
	cmd.ValidArgsFunction = completeSteered(true, "")
	flags.add(cmd)
	return cmd
}
