package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/spf13/cobra"

	"kong-traffic-split/cmd/command"
	"kong-traffic-split/plugin/status"
)

func statusCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "status ADDRESS...",
		Short: "Show how the splits of running servers do",
		Long: `Shows what the servers with these status addresses (-status-listen) report: what is wrong,
each split with what its backends are to get and what they got in the last minute, how
far its ramp has come, and what has changed lately.

With --output json, there is an object for each server, one after another. The exit
status is 0 where nothing is wrong with any of them.`,
		Example: "  splitctl status 127.0.0.1:8007",
		Args:    cobra.MinimumNArgs(1),

		ValidArgsFunction: noFiles,
		RunE: func(cmd *cobra.Command, addresses []string) error {
			if err := oneOf("output", output, "text", "json"); err != nil {
				return err
			}
			return showStatus(cmd.Context(), addresses, cmd.OutOrStdout(), output == "json")
		},
	}
	addOutput(cmd, &output, "text", "json")
	return cmd
}

// showStatus shows the status of servers, and returns an error if something is wrong with
// one of them.
func showStatus(ctx context.Context, addresses []string, to io.Writer, asJSON bool) error {
	servers := fetchAll(ctx, addresses)
	var err error
	if asJSON {
		err = writeStatus(to, servers)
	} else {
		err = status.WriteScreen(to, servers, command.Width(to))
	}
	for _, s := range servers {
		switch {
		case s.Err != nil:
			err = errors.Join(err, fmt.Errorf("%s: %w", s.Address, s.Err))
		case len(s.Report.Wrong) > 0:
			err = errors.Join(err, fmt.Errorf("%s: things that are wrong: %d", s.Address, len(s.Report.Wrong)))
		}
	}
	return err
}

// fetchAll asks servers for what they report, at the same time.
func fetchAll(ctx context.Context, addresses []string) []status.Server {
	servers := make([]status.Server, len(addresses))
	var asked sync.WaitGroup
	for i, address := range addresses {
		asked.Go(func() {
			r, err := status.Fetch(ctx, address)
			servers[i] = status.Server{Address: address, Report: r, Err: err}
		})
	}
	asked.Wait()
	return servers
}

// writeStatus writes what servers report, for machines.
func writeStatus(to io.Writer, servers []status.Server) error {
	enc := json.NewEncoder(to)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	for _, s := range servers {
		if s.Report == nil {
			continue
		}
		if err := enc.Encode(struct {
			Address string `json:"address"`
			*status.Report
		}{s.Address, s.Report}); err != nil {
			return err
		}
	}
	return nil
}
