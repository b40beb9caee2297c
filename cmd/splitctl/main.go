// Command splitctl is the user's tool: it runs the stand-in gateway and the demo,
// explains decisions and simulates splits.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT)
	defer stop()
	// With a reader that has gone, as in `| head`, a write is then an error like
	// any other. Otherwise it would end this process and leave those that it has
	// started behind.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	if err := rootCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

// rootCommand is the command splitctl with its subcommands. Their context ends
// when the process is asked to end.
func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "splitctl",
		Short:         "Try and run the traffic-split plugin for Kong",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(demoCommand(), explainCommand(), simulateCommand(), standinCommand())
	return root
}
