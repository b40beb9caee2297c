package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kong-traffic-split/cmd/command"
	"kong-traffic-split/plugin/simulate"
)

// simulateFlags are the flags of splitctl simulate.
type simulateFlags struct {
	request                   requestFlags
	options                   simulate.Options
	split, from, keys, output string
	fail, latency             []string
}

func simulateCommand() *cobra.Command {
	var flags simulateFlags
	cmd := &cobra.Command{
		Use:   "simulate FILE",
		Short: "Play many requests, or a ramp's course, and say who gets them",
		Long: `Plays requests over splits that have made no choice yet, by a clock of its own, and
says which backend gets how many: 1000 requests at 100 a second; of a split with a
ramp 10000, evenly over the ramp's time and a twentieth of it before and after. A ramp
whose steps wait for the guard may take longer than that: --for says how long.

Clients are told apart where the split has a session or hash_on. Each sends a key of
its own in what hash_on is about, and keeps its cookies.

` + fileLong,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			command.EndAtOnce()
			return flags.run(cmd, args[0])
		},
	}
	flags.request.add(cmd)
	f := cmd.Flags()
	f.StringVar(&flags.split, "split", "", "which split, by its `name` (default: all)")
	f.IntVar(&flags.options.Requests, "requests", 0, "how `many` requests")
	f.Float64Var(&flags.options.Rate, "rate", 0, "`requests` a second")
	f.StringVar(&flags.from, "from", "", "when the first one comes, a `time` as in RFC 3339")
	f.DurationVar(&flags.options.For, "for", 0, "how long, as in 90s or 24h")
	f.IntVar(&flags.options.Clients.Number, "clients", 0, "how `many` clients there are (default 1000)")
	f.StringVar(&flags.keys, "keys", "", "a `file` with the keys of the clients who come, one a line, read over and over")
	f.StringArrayVar(&flags.fail, "fail", nil, "a backend of whose requests a part fails, `name=ratio`, as in canary=0.2; may be repeated")
	f.StringArrayVar(&flags.latency, "latency", nil, "how long a backend takes to answer each request, `name=time`, as in canary=800ms; may be repeated")
	f.StringArrayVar(&flags.options.Down, "down", nil, "a backend that does not exist, by its `name`; may be repeated")
	f.StringArrayVar(&flags.options.Unhealthy, "unhealthy", nil, "a backend that probes have found unhealthy, by its `name`; may be repeated")
	f.Uint64Var(&flags.options.Seed, "seed", 1, "of all that is random: the same `number` gives the same result")
	addOutput(cmd, &flags.output, "text", "json", "svg")
	completeFlag(cmd, "split", completeSplits)
	completeFlag(cmd, "down", completeBackends(""))
	completeFlag(cmd, "unhealthy", completeBackends(""))
	completeFlag(cmd, "fail", completeBackends("="))
	completeFlag(cmd, "latency", completeBackends("="))
	cmd.MarkFlagsMutuallyExclusive("clients", "keys")
	return cmd
}

func (f *simulateFlags) run(cmd *cobra.Command, path string) error {
	if err := oneOf("output", f.output, "text", "json", "svg"); err != nil {
		return err
	}
	for _, flag := range []string{"requests", "rate", "for", "clients"} {
		if value := cmd.Flags().Lookup(flag); value.Changed && slices.Contains([]string{"0", "0s"}, value.Value.String()) {
			return fmt.Errorf("--%s %s: nothing would be played", flag, value.Value)
		}
	}
	splits, err := readSplits(cmd.InOrStdin(), path)
	if err != nil {
		return err
	}
	chosen, err := splits.choose(f.split)
	if err != nil {
		return err
	}
	if f.output == "svg" && len(chosen) > 1 {
		_, err := splits.one(f.split)
		return err
	}
	if err := f.read(cmd, splits, chosen); err != nil {
		return err
	}
	results := make(simulate.Object[*simulate.Result], 0, len(chosen))
	for _, s := range chosen {
		warnMissing(cmd, splits, s)
		options := f.options
		options.Down = append(options.Down[:len(options.Down):len(options.Down)], s.missing...)
		result, err := simulate.Play(s.config.Compile(s.identity), options)
		if err != nil {
			return fmt.Errorf("split %s: %w", s.name, flagError(err))
		}
		results = append(results, simulate.Member[*simulate.Result]{Name: s.name, Value: result})
	}
	if splits.others != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "left out, as their backends stand in a split file of the plugin server: %s\n", strings.Join(splits.others, ", "))
	}
	return f.write(cmd.OutOrStdout(), results)
}

// read fills in the options that need parsing.
func (f *simulateFlags) read(cmd *cobra.Command, splits *splitsFile, chosen []namedSplit) (err error) {
	o := &f.options
	if o.From, err = moment("from", f.from, time.Time{}); err != nil {
		return err
	}
	request, err := f.request.read(cmd, splits, chosen)
	if err == nil {
		o.Facts, err = request.Facts()
	}
	if err != nil {
		return flagError(err)
	}
	o.Fail = map[string]float64{}
	for _, text := range f.fail {
		i := strings.LastIndexByte(text, '=')
		ratio, err := strconv.ParseFloat(text[i+1:], 64)
		if i < 0 || err != nil {
			return fmt.Errorf("--fail %q is not of the form name=ratio, as in canary=0.2", text)
		}
		o.Fail[text[:i]] = ratio
	}
	o.Latency = map[string]time.Duration{}
	for _, text := range f.latency {
		i := strings.LastIndexByte(text, '=')
		latency, err := time.ParseDuration(text[i+1:])
		if i < 0 || err != nil {
			return fmt.Errorf("--latency %q is not of the form name=time, as in canary=800ms", text)
		}
		o.Latency[text[:i]] = latency
	}
	if f.keys == "" {
		return nil
	}
	text, err := os.ReadFile(f.keys)
	if err != nil {
		return fmt.Errorf("--keys: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		o.Clients.Keys = append(o.Clients.Keys, strings.TrimRight(line, "\r\n"))
	}
	o.Clients.Source = f.keys
	if len(o.Clients.Keys) == 0 {
		return fmt.Errorf("--keys: %s is empty; one key a line is needed", f.keys)
	}
	return nil
}

func (f *simulateFlags) write(to io.Writer, results simulate.Object[*simulate.Result]) error {
	switch f.output {
	case "json":
		return writeJSON(to, map[string]any{"splits": results})
	case "svg":
		return results[0].Value.WriteSVG(to, results[0].Name)
	}
	for i, r := range results {
		if i > 0 {
			fmt.Fprintln(to)
		}
		if err := r.Value.WriteText(to, r.Name); err != nil {
			return err
		}
	}
	return nil
}
