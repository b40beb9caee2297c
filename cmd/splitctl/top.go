package main

import (
	"github.com/spf13/cobra"

	"kong-traffic-split/cmd/command"
	"kong-traffic-split/plugin/status"
	"kong-traffic-split/plugin/status/top"
)

func topCommand() *cobra.Command {
	var once bool
	cmd := &cobra.Command{
		Use:   "top ADDRESS...",
		Short: "Show live how the splits of running servers do",
		Long: `Shows what splitctl status shows, anew each second, in a terminal. A server that does not
answer is said to be away, and comes back when it does.

  q, Ctrl-C   end
  ↑ ↓, k j    scroll; PgUp, PgDn, Home and End too
  /           show only splits whose name, or that of a backend, has a text in it
  ?           help

With --once, or where the output is no terminal, it is splitctl status: plain text, and an
exit status of 0 where nothing is wrong. NO_COLOR, if it is set, leaves out the colours.`,
		Example: "  splitctl top 127.0.0.1:8007\n  splitctl top kong-1:8007 kong-2:8007",
		Args:    cobra.MinimumNArgs(1),

		ValidArgsFunction: noFiles,
		RunE: func(cmd *cobra.Command, addresses []string) error {
			out := cmd.OutOrStdout()
			if once || command.Width(out) == 0 {
				return showStatus(cmd.Context(), addresses, out, false)
			}
			return top.Run(cmd.Context(), addresses, status.Fetch, cmd.InOrStdin(), out)
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "show it once, and end")
	return cmd
}
