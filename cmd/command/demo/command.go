// Package demo is the command that plays the demo: splitctl has it, and cmd/demo is it
// alone.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"kong-traffic-split/kong/demo"
)

// demoFlags are the flags of splitctl demo.
type demoFlags struct {
	output              string
	rollout, keep, page bool
	step                time.Duration
}

// shortestStep is that of a rollout's step.
const shortestStep = time.Second

// Command returns the command.
func Command() *cobra.Command {
	var flags demoFlags
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Play the guide or a rollout on this machine, without Kong and without Docker",
		Long: `Starts two backends, the plugin server and the stand-in gateway with
kong/kong.yml, all on the loopback interface. Sends 200 requests with equal
weights, sets the weights 200 : 100 on the running gateway, sends 200 more, and
says which backend answered how many, and what the plugin added to a request.

With --rollout, it plays a rollout that fails: a ramp gives the canary more and
more of the requests, until that begins to fail at 30 %, and the ramp's guard
rolls it back. It takes 40 seconds.

The plugin server and the backends are the executables traffic-split and echo
beside this one, or else are built from the source in the working directory.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if flags.output != "text" && flags.output != "json" {
				return fmt.Errorf("--output %q is not one of [\"text\" \"json\"]", flags.output)
			}
			if !flags.rollout && cmd.Flags().Changed("step") {
				return errors.New("--step goes with --rollout")
			}
			if flags.step < shortestStep {
				return fmt.Errorf("--step %v is less than %v", flags.step, shortestStep)
			}
			return runDemo(cmd.Context(), flags, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVarP(&flags.output, "output", "o", "text", "text, or json for machines")
	f.BoolVar(&flags.rollout, "rollout", false, "play a rollout that fails, and goes back by itself")
	f.DurationVar(&flags.step, "step", 10*time.Second, "how long a step of the rollout lasts")
	f.BoolVar(&flags.keep, "keep", false, "leave it running until Ctrl-C, and say what to try")
	f.BoolVar(&flags.page, "page", false, "show the page of the plugin server in a browser, and leave it running until Enter or Ctrl-C")
	return cmd
}

func runDemo(ctx context.Context, flags demoFlags, stdin io.Reader, stdout, stderr io.Writer) (err error) {
	p := progressOn(stderr)
	defer p.close()
	scene := demo.Guide
	if flags.rollout {
		scene = demo.Rollout
	}
	d, err := demo.Start(ctx, scene, p.show)
	if err != nil {
		return interrupted(ctx, err)
	}
	defer func() {
		if closed := d.Close(); err == nil {
			err = closed
		}
	}()
	if flags.page {
		showPage(ctx, d.Page(), stderr)
	}
	result, err := playDemo(ctx, d, flags, stdout)
	if err != nil {
		return interrupted(ctx, err)
	}
	if flags.keep || flags.page {
		if err := d.Invite(stderr, self(d)); err != nil {
			return err
		}
		if flags.page {
			fmt.Fprintln(stderr, "\nEnter ends it too.")
		}
		wait(ctx, flags.page, stdin)
	}
	return result
}

// playDemo plays the scene and writes what came of it, and returns the error that the
// command is to end with.
func playDemo(ctx context.Context, d *demo.Demo, flags demoFlags, stdout io.Writer) (result, err error) {
	text, machine := stdout, io.Discard
	if flags.output == "json" {
		text, machine = machine, text
	}
	if flags.rollout {
		f, err := d.PlayRollout(ctx, text, flags.step)
		if err != nil {
			return nil, err
		}
		return nil, f.WriteJSON(machine)
	}
	r, err := d.PlayGuide(ctx, text)
	if err != nil {
		return nil, err
	}
	return r.Err(), r.WriteJSON(machine)
}

// self is how to call this command again.
func self(d *demo.Demo) string {
	if d.Built() { // and so is this one, by go run
		return "go run ./cmd/splitctl"
	}
	if dir, name := filepath.Split(os.Args[0]); name == "demo" {
		return dir + "splitctl"
	}
	return os.Args[0]
}

// wait waits until ctx is done, or until there is a line to read, if that is to end it.
func wait(ctx context.Context, untilLine bool, stdin io.Reader) {
	line := make(chan struct{})
	if untilLine {
		go func() {
			for b := make([]byte, 1); b[0] != '\n'; {
				if _, err := stdin.Read(b); err != nil {
					return // nobody is there to press it
				}
			}
			close(line)
		}()
	}
	select {
	case <-ctx.Done():
	case <-line:
	}
}

// interrupted returns err, or the signal if one has ended ctx and so caused the error.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
