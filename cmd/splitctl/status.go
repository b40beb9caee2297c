package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"kong-traffic-split/plugin/status"
)

func statusCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "status ADDRESS...",
		Short: "Show how the splits of running servers do",
		Long: `Shows what the servers with these status addresses (-status-listen) report: each split
with its backends, how far its ramp has come, and what is wrong.

The exit status is 0 where nothing is wrong with any of them.`,
		Example: "  splitctl status 127.0.0.1:8007",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, addresses []string) error {
			if output != "text" && output != "json" {
				return fmt.Errorf("--output %q is neither text nor json", output)
			}
			var errs []error
			for i, address := range addresses {
				if i > 0 && output == "text" {
					fmt.Fprintln(cmd.OutOrStdout())
				}
				if err := showStatus(cmd, address, output); err != nil {
					errs = append(errs, fmt.Errorf("%s: %w", address, err))
				}
			}
			return errors.Join(errs...)
		},
	}
	cmd.Flags().StringVar(&output, "output", "text", "text, or json for machines: an object for each server, one after another")
	return cmd
}

// showStatus shows a server's status, and returns an error if something is wrong with it.
func showStatus(cmd *cobra.Command, address, output string) error {
	r, err := status.Fetch(cmd.Context(), address)
	if err != nil {
		return err
	}
	if err := writeStatus(cmd.OutOrStdout(), address, r, output); err != nil {
		return err
	}
	if n := len(r.Wrong); n > 0 {
		return fmt.Errorf("things that are wrong: %d", n)
	}
	return nil
}

func writeStatus(to io.Writer, address string, r *status.Report, output string) error {
	if output == "text" {
		fmt.Fprintf(to, "%s: ", address)
		return r.Text(to)
	}
	enc := json.NewEncoder(to)
	enc.SetIndent("", "  ")
	return enc.Encode(struct {
		Address string `json:"address"`
		*status.Report
	}{address, r})
}
