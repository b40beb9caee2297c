// Command bench measures what an event costs on the plugin's socket: how many
// events a second our server answers, a server built on the stock go-pdk that
// makes the same choice and the same calls, and a raw responder that does
// nothing but write bytes which it has prepared. It owns Kong's side of the
// exchange, the three servers, each in a process of its own, and the figures.
//
// The three are measured in turn, in rounds, so that what else the machine does
// meets all of them. The figures are medians of the rounds. They say what the
// socket and the server cost; on a real Kong, its own cost comes on top.
//
// With --kong it measures on a real Kong what the plugin costs, beside a plain route,
// Kong's own Upstream, a Lua function and go-pdk's server; see
// [kong-traffic-split/spec/bench/gateway].
//
// With --soak it shows instead what memory the real plugin server takes, with
// many instances and after many events and reloads. With --chaos it has everything
// happen to the real plugin server behind a gateway, and fails where a request does;
// see [kong-traffic-split/spec/bench/chaos].
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"time"

	"kong-traffic-split/spec/bench/chaos"
	"kong-traffic-split/spec/bench/gateway"
)

func main() {
	if len(os.Args) == 4 && os.Args[1] == serveFlag {
		fmt.Fprintln(os.Stderr, "Error:", serve(os.Args[2], os.Args[3]))
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

// options say what to measure, and how long.
type options struct {
	round   time.Duration // of one server in one case
	rounds  int
	cases   []kase
	soak    *soak           // if not nil, instead
	chaos   chaos.Options   // if Duration is not 0, instead
	gateway gateway.Options // if Kong is not empty, instead
	asJSON  bool
}

// command measures as args say and writes the figures to stdout.
func command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err == flag.ErrHelp { // which has been given
		return nil
	}
	if err != nil {
		return err
	}
	switch {
	case o.soak != nil:
		return reportSoak(ctx, o, stdout, stderr)
	case o.chaos.Duration > 0:
		return reportChaos(ctx, o, stdout, stderr)
	case o.gateway.Kong != "":
		return measureKong(ctx, o, stdout, stderr)
	}
	whole := o.round * time.Duration(o.rounds*len(o.cases)*len(contestants))
	fmt.Fprintf(stderr, "%d cases, %d rounds of %v for each of %d servers: about %v\n",
		len(o.cases), o.rounds, o.round, len(contestants), whole.Round(time.Second))
	results, err := measure(ctx, o)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	if o.asJSON {
		return writeJSON(stdout, map[string][]result{"cases": results})
	}
	return writeTable(stdout, results)
}

// reportSoak writes to stdout what memory the plugin server takes. It fails when that
// is too much.
func reportSoak(ctx context.Context, o options, stdout, stderr io.Writer) error {
	s := o.soak
	fmt.Fprintf(stderr, "%d instances of %d backends, %d events and %d reloads on %d connections: some minutes\n",
		s.rows, s.backends, s.events, s.reloads, s.conns)
	points, err := s.run(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	if o.asJSON {
		err = writeJSON(stdout, map[string][]point{"points": points})
	} else {
		err = writePoints(stdout, points)
	}
	if all := points[1]; all.ServingKiB > maxMemory {
		err = errors.Join(err, fmt.Errorf("with %d instances the serving process has %d KiB, more than the %d that it may have",
			all.Instances, all.ServingKiB, maxMemory))
	}
	return err
}

// reportChaos writes what a run with faults has found to stdout, and fails where that is a
// problem.
func reportChaos(ctx context.Context, o options, stdout, stderr io.Writer) error {
	o.chaos.Log = stderr
	fmt.Fprintf(stderr, "chaos for %v; to repeat it: --chaos %v --seed %d\n", o.chaos.Duration, o.chaos.Duration, o.chaos.Seed)
	report, err := chaos.Run(ctx, o.chaos)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	if err := writeJSON(stdout, report); err != nil {
		return err
	}
	if n := len(report.Problems); n > 0 {
		return fmt.Errorf("problems: %d; the first one: %s", n, report.Problems[0])
	}
	return nil
}

func parse(args []string, stderr io.Writer) (options, error) {
	// Not the flag package's own set, to which go-pdk adds flags.
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	round := flags.Duration("round", 100*time.Millisecond, "how long each server is measured in each case and round; 500ms by default with --kong")
	rounds := flags.Int("rounds", 11, "how many rounds the medians are of; 31 by default with --kong")
	filter := flags.String("cases", "", "a `regexp` of the cases to measure, as in calls=2,reads=0,conns=8, with --kong of the contestants; all by default")
	soaking := flags.Bool("soak", false, "tell what memory the plugin server takes over time, instead of comparing servers (Linux only)")
	lasting := flags.Duration("chaos", 0, "how long to have kills, reloads, wrong configurations and more happen under load, instead of comparing servers (Linux only)")
	seed := flags.Uint64("seed", 0, "what decides what happens with --chaos, and in which order; a random one by default")
	kong := flags.String("kong", "", "the `path` of Kong's executable, to measure on a real Kong what the plugin costs, instead of comparing servers (Linux only); --chaos runs it in place of the stand-in")
	output := flags.String("output", "table", "table, or json for machines")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	matching, err := regexp.Compile(*filter)
	if err != nil {
		return options{}, fmt.Errorf("--cases: %w", err)
	}
	o := options{round: *round, rounds: *rounds, cases: casesMatching(matching), asJSON: *output == "json"}
	if *soaking {
		o.soak = &wholeSoak
	}
	o.chaos = chaos.Options{Duration: *lasting, Seed: *seed, Kong: *kong, Workers: 2, RestartTime: time.Second}
	if o.chaos.Seed == 0 {
		o.chaos.Seed = rand.Uint64N(1_000_000)
	}
	if *kong != "" && *lasting == 0 {
		o.gateway = gateway.Options{Kong: *kong, Round: 500 * time.Millisecond, Rounds: 31, Cases: matching}
		flags.Visit(func(f *flag.Flag) {
			switch f.Name {
			case "round":
				o.gateway.Round = *round
			case "rounds":
				o.gateway.Rounds = *rounds
			}
		})
	}
	switch {
	case flags.NArg() > 0:
		err = fmt.Errorf("argument %q: there are only flags", flags.Arg(0))
	case o.round <= 0:
		err = fmt.Errorf("--round %v is not more than 0", o.round)
	case *lasting < 0:
		err = fmt.Errorf("--chaos %v is less than 0", *lasting)
	case o.gateway.Kong != "" && *soaking:
		err = errors.New("--kong does not go with --soak")
	case o.rounds < 1:
		err = fmt.Errorf("--rounds %d is less than 1", o.rounds)
	case !o.asJSON && *output != "table":
		err = fmt.Errorf("--output %q is neither table nor json", *output)
	case o.gateway.Kong != "" && !gateway.Matches(matching):
		err = fmt.Errorf("--cases %q matches none of the contestants: %s", *filter, strings.Join(gateway.Names(), ", "))
	case o.gateway.Kong == "" && len(o.cases) == 0:
		err = fmt.Errorf("--cases %q matches none of the cases, which are named like %s", *filter, allCases()[0])
	}
	return o, err
}
