// Command splitctl is the user's tool: it runs the stand-in gateway and the demo,
// explains decisions, simulates splits, steers rollouts and converts routes. This package
// has arguments, output and wiring only; what a command does is in the room that it calls.
package main

import (
	"github.com/spf13/cobra"

	"kong-traffic-split/cmd/command"
	"kong-traffic-split/cmd/command/demo"
	"kong-traffic-split/plugin"
)

func main() { command.Main(rootCommand()) }

// rootCommand returns the command splitctl with its subcommands.
func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "splitctl",
		Short:         "Try and run the traffic-split plugin for Kong",
		Version:       plugin.Version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetVersionTemplate("splitctl {{.Version}}\n")
	root.AddCommand(demo.Command(), explainCommand(), simulateCommand(), standinCommand())
	root.AddCommand(checkCommand(), convertCommand(), companionCommand(), setCommand(), drainCommand(), rampCommand(), statusCommand(), topCommand())
	root.AddCommand(patchCommand(), doctorCommand(), manCommand())
	return root
}
