package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"kong-traffic-split/kong/check"
	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/file"
)

// untrustedLua is what the companion does not bear, and nobody would find by the symptom.
const untrustedLua = "Note: where kong.conf has untrusted_lua = off, Kong breaks off every request to a route with this row, without an answer. It is sandbox by default."

type companionFlags struct {
	route, service string
	dryRun         bool
	output         string
}

func companionCommand() *cobra.Command {
	var flags companionFlags
	cmd := &cobra.Command{
		Use:   "companion [FILE [SPLIT-FILE...]]",
		Short: "Write the row of Kong's that retry and changes of answers need",
		Long: `Writes the companion: a row of Kong's bundled plugin post-function, by which Kong tries
a request that has failed on one backend on another one, as retry says, and sets and
removes headers of answers, as response_headers say.

With FILE, a declarative file of Kong's or decK's, all routes whose splits need it get it
in place: a row of post-function that is there gets the functions behind its own, as a
route can have only one. Splits in split files are those of the SPLIT-FILEs. The file - is
standard input; the result is then written to standard output.

Without FILE, the row is shown: as YAML for the list of plugins in a file, or as JSON for
Kong's Admin API.

Kong does not run it where kong.conf has untrusted_lua = off.
`,
		Example: `  splitctl companion kong.yml splits.yaml
  splitctl companion --route shop --output json | curl -H 'Content-Type: application/json' -d @- http://127.0.0.1:8001/plugins`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("output", flags.output, "text", "json"); err != nil {
				return err
			}
			fmt.Fprintln(cmd.ErrOrStderr(), untrustedLua)
			if len(args) == 0 {
				return flags.show(cmd.OutOrStdout())
			}
			if flags.route != "" || flags.service != "" || cmd.Flags().Changed("output") {
				return errors.New("--route, --service and --output go without FILE, in which the splits say which routes get the row")
			}
			return flags.add(cmd, args[0], args[1:])
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.route, "route", "", "the `name` of the route that the row is for")
	f.StringVar(&flags.service, "service", "", "the `name` of the Service that the row is for")
	f.BoolVar(&flags.dryRun, "dry-run", false, "show what would change, and change nothing")
	addOutput(cmd, &flags.output, "text", "json")
	cmd.MarkFlagsMutuallyExclusive("route", "service")
	return cmd
}

// show shows the row.
func (c *companionFlags) show(to io.Writer) error {
	row := check.Companion()
	for _, on := range []struct{ key, name string }{{"route", c.route}, {"service", c.service}} {
		if on.name == "" {
			continue
		}
		value := &config.Node{Kind: config.String, Text: on.name}
		if c.output == "json" { // the Admin API takes no names alone
			value = &config.Node{Kind: config.Map, Members: []config.Member{{Key: "name", Value: value}}}
		}
		row.Members = slices.Insert(row.Members, 1, config.Member{Key: on.key, Value: value})
	}
	if c.output == "json" {
		return writeJSON(to, row)
	}
	const head = "_format_version: \"3.0\"\n"
	rows := &config.Node{Kind: config.List, Items: []*config.Node{row}}
	text, problem := file.Edit(head, nil, config.Edit{Path: []any{"plugins"}, Value: rows})
	if problem != nil {
		return errors.New(problem.Message)
	}
	_, err := io.WriteString(to, strings.TrimPrefix(text, head))
	return err
}

// add puts the row into a file.
func (c *companionFlags) add(cmd *cobra.Command, path string, splitFiles []string) error {
	splits, err := readSources(cmd.InOrStdin(), splitFiles)
	if err != nil {
		return err
	}
	if path == "-" {
		content, err := readLimited(cmd.InOrStdin(), maxDeclarative)
		if err != nil {
			return fmt.Errorf("standard input: %w", err)
		}
		text, changes, err := check.AddCompanions("-", string(content), splits, os.LookupEnv)
		if err != nil {
			return err
		}
		if c.dryRun {
			return c.report(cmd.OutOrStdout(), "-", changes)
		}
		_, err = io.WriteString(cmd.OutOrStdout(), text)
		return err
	}
	changes, err := c.write(cmd.Context(), path, splits)
	if err != nil {
		return err
	}
	return c.report(cmd.OutOrStdout(), path, changes)
}

func (c *companionFlags) write(ctx context.Context, path string, splits []check.Source) ([]string, error) {
	if c.dryRun {
		content, err := file.Content(path, maxDeclarative)
		if err != nil {
			return nil, err
		}
		_, changes, err := check.AddCompanions(path, content, splits, os.LookupEnv)
		return changes, err
	}
	ctx, cancel := untilLocked(ctx)
	defer cancel()
	locked, err := file.Lock(ctx, path, maxDeclarative)
	if err != nil {
		return nil, err
	}
	defer locked.Close()
	text, changes, err := check.AddCompanions(path, locked.Content, splits, os.LookupEnv)
	if err == nil && text != locked.Content {
		err = locked.Replace(text)
	}
	return changes, err
}

func (c *companionFlags) report(to io.Writer, path string, changes []string) error {
	lines := []string{path + ": nothing changes: no split on its routes needs the companion, or they have it already"}
	if len(changes) > 0 {
		lines = []string{path + ":"}
		for _, change := range changes {
			lines = append(lines, "+ "+change)
		}
		if c.dryRun {
			lines = append(lines, "nothing is written: --dry-run")
		}
	}
	_, err := fmt.Fprintln(to, strings.Join(lines, "\n"))
	return err
}
