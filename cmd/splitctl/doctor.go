package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"kong-traffic-split/cmd/command"
	"kong-traffic-split/kong/doctor"
	"kong-traffic-split/plugin"
)

type doctorFlags struct {
	adminFlags
	status  []string
	send    doctor.Send
	headers []string
	output  string
}

func doctorCommand() *cobra.Command {
	var flags doctorFlags
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Find what is wrong with a running Kong and its plugin server",
		Long: `Asks a running Kong (--admin) and the plugin server beside it (--status), and sends
requests to Kong's proxy where it is told to (--proxy, --send). Each finding has what to do
about it. What cannot be asked is not checked, and said.

With --send, the shares that the backends got are compared with those that they are due:
exactly, where the split's algorithm is smooth. The requests take their turns of the split,
as those of clients do.

The exit status is 0 where nothing is found that is an error.`,
		Example: `  splitctl doctor --admin 127.0.0.1:8001 --status 127.0.0.1:8007
  splitctl doctor --admin 127.0.0.1:8001 --status 127.0.0.1:8007 --proxy 127.0.0.1:8000 --send 200 --path /shop`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return flags.run(cmd) },
	}
	f := cmd.Flags()
	flags.adminFlags.add(f)
	f.StringArrayVar(&flags.status, "status", nil, "the `address` of a server's status (-status-listen); may be repeated")
	f.StringVar(&flags.send.Proxy, "proxy", "", "the `address` of Kong's proxy, to send requests to")
	f.IntVar(&flags.send.Requests, "send", 0, "how many `requests` to send")
	f.StringVar(&flags.send.Path, "path", "/", "the `path` to send them to, with a query if there is one")
	f.StringVar(&flags.send.Host, "host", "", "their Host `header`; by default the proxy's address")
	f.StringArrayVar(&flags.headers, "header", nil, "another `header` of theirs, as 'Name: value'; may be repeated")
	f.StringVar(&flags.send.Split, "split", "", "the `split` to compare; by default the one that gets the requests")
	f.StringVar(&flags.send.Header, "by", "", "the response `header` that names the backend; by default the split's response_header")
	addOutput(cmd, &flags.output, "text", "json")
	cmd.MarkFlagsOneRequired("admin", "status", "send")
	cmd.MarkFlagsRequiredTogether("proxy", "send")
	return cmd
}

func (d *doctorFlags) run(cmd *cobra.Command) error {
	if err := oneOf("output", d.output, "text", "json"); err != nil {
		return err
	}
	o := doctor.Options{Plugin: pluginName, Version: plugin.Version, Status: d.status}
	if d.address != "" {
		client, err := d.client()
		if err != nil {
			return err
		}
		o.Admin = client
	}
	if cmd.Flags().Changed("send") {
		if d.send.Requests < 1 {
			return fmt.Errorf("--send %d: at least one request is needed", d.send.Requests)
		}
		if !strings.HasPrefix(d.send.Path, "/") {
			return fmt.Errorf("--path %q does not begin with /", d.send.Path)
		}
		d.send.Headers = http.Header{}
		for _, header := range d.headers {
			name, value, ok := strings.Cut(header, ":")
			if !ok {
				return fmt.Errorf("--header %q is not of the form 'Name: value'", header)
			}
			d.send.Headers.Add(strings.TrimSpace(name), strings.TrimSpace(value))
		}
		o.Send = &d.send
	}
	found := doctor.Examine(cmd.Context(), o)
	var err error
	if d.output == "json" {
		err = writeJSON(cmd.OutOrStdout(), found)
	} else {
		err = writeDiagnosis(cmd.OutOrStdout(), found)
	}
	if err == nil && found.Ill() {
		err = command.ErrReported
	}
	return err
}

// writeDiagnosis writes what was found, for people.
func writeDiagnosis(to io.Writer, d *doctor.Diagnosis) error {
	var b strings.Builder
	for _, f := range d.Findings {
		fmt.Fprintf(&b, "%s: %s: %s\n  → %s\n", f.Severity, f.Check, f.Message, f.Fix)
	}
	if len(d.Sent) > 0 {
		fmt.Fprintf(&b, "requests by weight:")
		for i, s := range d.Sent {
			fmt.Fprintf(&b, "%s %s %d of %.2f due", map[bool]string{true: "", false: ","}[i == 0], s.Backend, s.Requests, s.Due)
		}
		fmt.Fprintln(&b)
	}
	if len(d.Findings) == 0 {
		fmt.Fprintln(&b, "nothing is wrong in what was checked")
	}
	fmt.Fprintf(&b, "checked: %s\n", strings.Join(d.Checked, ", "))
	reasons := map[string][]string{}
	var order []string
	for _, s := range d.Skipped {
		if reasons[s.Reason] == nil {
			order = append(order, s.Reason)
		}
		reasons[s.Reason] = append(reasons[s.Reason], s.Check)
	}
	for _, reason := range order {
		fmt.Fprintf(&b, "not checked, as %s: %s\n", reason, strings.Join(reasons[reason], ", "))
	}
	_, err := io.WriteString(to, command.Harmless(b.String())) // it has what Kong and others have answered
	return err
}
