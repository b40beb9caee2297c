package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"kong-traffic-split/kong/demo"
)

func demoCommand() *cobra.Command {
	var output string
	var keep bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Play the guide on this machine, without Kong and without Docker",
		Long: `Starts two backends, the plugin server and the stand-in gateway with
kong/kong.yml, all on the loopback interface. Sends 200 requests with equal
weights, sets the weights 200 : 100 on the running gateway, sends 200 more, and
says which backend answered how many, and what the plugin added to a request.

The plugin server and the backends are the executables traffic-split and echo
beside this one, or else are built from the source in the working directory.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "text" && output != "json" {
				return fmt.Errorf("--output %q is neither text nor json", output)
			}
			return runDemo(cmd.Context(), output == "json", keep, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text, or json for machines")
	cmd.Flags().BoolVar(&keep, "keep", false, "leave it running, and say what to try")
	return cmd
}

func runDemo(ctx context.Context, asJSON, keep bool, stdout, stderr io.Writer) (err error) {
	show := progressOn(stderr)
	show("starting two backends, the plugin server and the gateway")
	d, err := demo.Start(ctx)
	show("")
	if err != nil {
		return interrupted(ctx, err)
	}
	defer func() {
		if closed := d.Close(); err == nil {
			err = closed
		}
	}()
	text := stdout
	if asJSON {
		text = io.Discard
	}
	result, err := d.Play(ctx, text, show)
	if err != nil {
		return interrupted(ctx, err)
	}
	if asJSON {
		if err := result.WriteJSON(stdout); err != nil {
			return err
		}
	}
	if keep {
		if err := d.Invite(stderr); err != nil {
			return err
		}
		<-ctx.Done()
	}
	return result.Err()
}

// interrupted returns err, or the signal if one has ended ctx and so caused the error.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// progressOn returns a function that shows the progress in one line of w, if w is a
// terminal.
func progressOn(w io.Writer) func(what string) {
	if f, ok := w.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		return func(string) {}
	}
	return func(what string) {
		const clear = "\r\x1b[K"
		fmt.Fprint(w, clear+what)
	}
}
