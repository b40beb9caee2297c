package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// completion is a function that completes an argument or the value of a flag.
type completion = func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective)

// completeFlag has a shell complete the values of a flag.
func completeFlag(cmd *cobra.Command, flag string, by completion) {
	if err := cmd.RegisterFlagCompletionFunc(flag, by); err != nil {
		panic(err) // there is no such flag, or it has one already
	}
}

// noFiles completes nothing.
func noFiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// splitsIn returns the splits of the file that comes first among the arguments, or that one
// of the flags names; none where it cannot be read.
func splitsIn(cmd *cobra.Command, args []string, flags ...string) []namedSplit {
	path := ""
	if len(flags) == 0 && len(args) > 0 {
		path = args[0]
	}
	for _, name := range flags {
		if flag := cmd.Flag(name); flag != nil && flag.Changed {
			path = flag.Value.String()
		}
	}
	if path == "" || path == "-" {
		return nil
	}
	f, err := readSplits(cmd.InOrStdin(), path)
	if err != nil {
		return nil
	}
	return f.splits
}

// completeSplits completes --split by the splits of the file.
func completeSplits(cmd *cobra.Command, args []string, _ string) (names []string, _ cobra.ShellCompDirective) {
	for _, s := range splitsIn(cmd, args) {
		names = append(names, s.name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeBackends completes the names of the backends of the file's splits, with something
// behind them.
func completeBackends(behind string) completion {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		wanted := ""
		if flag := cmd.Flag("split"); flag != nil {
			wanted = flag.Value.String()
		}
		return backendNames(splitsIn(cmd, args), wanted, behind), directive(behind)
	}
}

// directive has the shell put no space behind what a value is to follow.
func directive(behind string) cobra.ShellCompDirective {
	if behind != "" {
		return cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
	return cobra.ShellCompDirectiveNoFileComp
}

// backendNames returns the names of the backends of a split; of all, where none is named.
func backendNames(splits []namedSplit, split, behind string) (names []string) {
	for _, s := range splits {
		if split != "" && split != s.name && split != s.full && split != s.instance {
			continue
		}
		for _, b := range s.config.Backends {
			if !slices.Contains(names, b.Name+behind) {
				names = append(names, b.Name+behind)
			}
		}
	}
	return names
}

// completeSteered completes the arguments of a command that steers: the split, and then its
// backends, unless none come. Their file has to be named before.
func completeSteered(backends bool, behind string) completion {
	return func(cmd *cobra.Command, args []string, _ string) (names []string, _ cobra.ShellCompDirective) {
		splits := splitsIn(cmd, args, "file", "declarative")
		if len(args) == 0 {
			for _, s := range splits {
				names = append(names, s.name)
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		}
		if !backends || len(args) > 1 && behind == "" {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		for _, name := range backendNames(splits, args[0], behind) {
			if !slices.ContainsFunc(args[1:], func(given string) bool { return strings.HasPrefix(given, name) }) {
				names = append(names, name)
			}
		}
		return names, directive(behind)
	}
}
