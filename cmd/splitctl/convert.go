package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kong-traffic-split/cmd/command"
	"kong-traffic-split/kong/httproute"
	"kong-traffic-split/plugin/file"
)

const convertLong = `Converts HTTPRoutes and GRPCRoutes of the Gateway API, with the Services, Gateways,
ReferenceGrants and KongPlugins that they refer to, and writes what Kong reads.

FILE is a manifest in YAML or JSON, with one object or several, or a list as kubectl
prints it; a folder stands for the manifests in it, and - or nothing for standard input.

--to says what comes out: kong, a declarative file with rows of the plugin; splits, one
with rows that have no config, and a split file (--splits); kic, the routes with
KongPlugins for Kong's ingress controller; native, a declarative file with weighted
targets of Kong's and without the plugin, where the routes ask for nothing more.

A Service is reached at the address that --resolve or --resolve-file gives it, or at
its name in the cluster's DNS.

What cannot be converted is an error, and then nothing is written; with --allow-partial
it is left out, with a warning.`

// convertFlags are the flags of splitctl convert.
type convertFlags struct {
	options     httproute.Options
	to          string
	resolve     []string
	resolveFile string
	splits      string
	watch       bool
}

func convertCommand() *cobra.Command {
	var flags convertFlags
	cmd := &cobra.Command{
		Use:   "convert [FILE]...",
		Short: "Convert routes of the Gateway API to what Kong reads",
		Long:  convertLong,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := flags.read(); err != nil {
				return err
			}
			c := conversion{flags: flags, files: args, in: cmd.InOrStdin(), out: cmd.OutOrStdout(), errs: cmd.ErrOrStderr()}
			if flags.watch {
				return c.watch(cmd.Context())
			}
			command.EndAtOnce()
			return c.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.to, "to", "kong", "what to convert to: kong, splits, kic or native")
	f.StringVar(&flags.options.Flavor, "flavor", "", "the `flavor` of Kong's router, traditional_compatible or expressions (default: the former, where it can keep the precedence)")
	f.BoolVar(&flags.options.Partial, "allow-partial", false, "leave out what cannot be converted")
	f.StringArrayVar(&flags.resolve, "resolve", nil, "where a Service is reached, `namespace/name[:port]=host:port`; may be repeated")
	f.StringVar(&flags.resolveFile, "resolve-file", "", "a `file` of such addresses, one a line")
	f.BoolVar(&flags.options.Strict, "resolve-strict", false, "a Service that has no such address, and is not in the manifests, does not exist")
	f.StringVar(&flags.options.ClusterDomain, "cluster-domain", "cluster.local", "the `domain` of the cluster's DNS names")
	f.StringVar(&flags.options.SessionSecret, "session-secret", httproute.DefaultSecret, "the `key` that signs the cookies of a sessionPersistence, or a reference to Kong's vault")
	f.StringVar(&flags.splits, "splits", "", "the split `file` to write, for --to splits")
	completeValues(cmd, "to", "kong", "splits", "kic", "native")
	completeValues(cmd, "flavor", "traditional_compatible", "expressions")
	f.BoolVar(&flags.watch, "watch", false, "go on, and write the split file again whenever a manifest changes; Kong's configuration is written once")
	return cmd
}

// read checks the flags and completes the options.
func (f *convertFlags) read() error {
	f.options.To = httproute.Target(f.to)
	if err := f.options.Check(); err != nil {
		return flagError(err)
	}
	if f.resolveFile != "" {
		text, err := os.ReadFile(f.resolveFile)
		if err != nil {
			return fmt.Errorf("--resolve-file: %w", err)
		}
		more, err := httproute.ParseAddresses(text)
		if err != nil {
			return fmt.Errorf("--resolve-file: %s: %w", f.resolveFile, err)
		}
		f.options.Addresses = append(f.options.Addresses, more...)
	}
	for _, text := range f.resolve {
		a, err := httproute.ParseAddress(text)
		if err != nil {
			return fmt.Errorf("--resolve: %w", err)
		}
		f.options.Addresses = append(f.options.Addresses, a)
	}
	toSplits := f.options.To == httproute.Splits
	switch {
	case toSplits && f.splits == "":
		return errors.New("--to splits needs --splits, the split file to write")
	case !toSplits && f.splits != "":
		return errors.New("--splits goes with --to splits only")
	case f.watch && !toSplits:
		return errors.New("--watch goes with --to splits only: all else would need a reload of Kong")
	}
	return nil
}

// conversion is one run of the command.
type conversion struct {
	flags     convertFlags
	files     []string
	in        io.Reader
	out, errs io.Writer
}

// run converts once. Its error says how many problems there were, which are written before.
func (c *conversion) run(ctx context.Context) error {
	sources, err := c.sources()
	if err != nil {
		return err
	}
	out, err := c.convert(sources)
	if err != nil {
		return err
	}
	if c.flags.splits != "" {
		if _, err := file.Write(ctx, c.flags.splits, string(out.Splits), maxSplits); err != nil {
			return err
		}
	}
	_, err = c.out.Write(out.Kong)
	return err
}

func (c *conversion) convert(sources []httproute.Source) (*httproute.Output, error) {
	out, problems := httproute.Convert(sources, c.flags.options)
	errs := 0
	for _, p := range problems {
		fmt.Fprintln(c.errs, command.Harmless(p.String()))
		if !p.Warning {
			errs++
		}
	}
	if errs > 0 {
		return nil, fmt.Errorf("%d of the problems above are in the way; nothing was written", errs)
	}
	return out, nil
}

// sources reads the manifests.
func (c *conversion) sources() (all []httproute.Source, err error) {
	paths, err := manifests(c.files)
	for _, path := range paths {
		s := httproute.Source{Name: path}
		if path == "-" {
			s.Name = "stdin"
			s.Data, err = io.ReadAll(c.in)
		} else {
			s.Data, err = os.ReadFile(path)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, err
}

// manifests are the files that the arguments stand for; - is standard input.
func manifests(args []string) (paths []string, err error) {
	if len(args) == 0 {
		args = []string{"-"}
	}
	for _, arg := range args {
		info, err := os.Stat(arg)
		switch {
		case arg == "-":
		case err != nil:
			return nil, err
		case info.IsDir():
			entries, err := os.ReadDir(arg)
			if err != nil {
				return nil, err
			}
			for _, e := range entries {
				if slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(e.Name())) && !strings.HasPrefix(e.Name(), ".") {
					paths = append(paths, filepath.Join(arg, e.Name()))
				}
			}
			continue
		}
		paths = append(paths, arg)
	}
	return paths, nil
}

// watchPause is how long to wait between two looks at the manifests.
const watchPause = 500 * time.Millisecond

// watch converts the manifests, and again whenever one has changed, until the context
// ends. After what is wrong the split file stays as it is. Kong's configuration is written
// once; that it has changed since is said.
func (c *conversion) watch(ctx context.Context) error {
	if slices.Contains(c.files, "-") || len(c.files) == 0 {
		return errors.New("--watch needs files: standard input is read once")
	}
	last, err := c.sources()
	if err != nil {
		return err
	}
	kong, err := c.writeSplits(ctx, last)
	if err != nil {
		return err
	}
	if _, err := c.out.Write(kong); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(watchPause):
		}
		now, wrong := c.sources()
		if wrong != nil {
			if err == nil || wrong.Error() != err.Error() {
				fmt.Fprintln(c.errs, "Error:", command.Harmless(wrong.Error()))
			}
			err = wrong
			continue
		}
		err = nil
		if slices.EqualFunc(last, now, func(a, b httproute.Source) bool { return a.Name == b.Name && bytes.Equal(a.Data, b.Data) }) {
			continue
		}
		last = now
		switch next, err := c.writeSplits(ctx, last); {
		case err != nil:
			fmt.Fprintln(c.errs, "Error:", command.Harmless(err.Error()))
		case !bytes.Equal(next, kong):
			fmt.Fprintln(c.errs, "What Kong has to have has changed, too, not only splits: convert again without --watch, and give Kong the result")
		}
	}
}

// writeSplits converts and writes the split file. It returns Kong's configuration.
func (c *conversion) writeSplits(ctx context.Context, sources []httproute.Source) ([]byte, error) {
	out, err := c.convert(sources)
	if err != nil {
		return nil, err
	}
	changed, err := file.Write(ctx, c.flags.splits, string(out.Splits), maxSplits)
	if changed {
		fmt.Fprintln(c.errs, "wrote", c.flags.splits)
	}
	return out.Kong, err
}

// maxSplits bounds the split file that is there, in bytes.
const maxSplits = 64 << 20
