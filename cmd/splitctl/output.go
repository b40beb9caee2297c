package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// addOutput gives a command the flag --output, which is the same in all of them: its first
// value is the default.
func addOutput(cmd *cobra.Command, to *string, values ...string) {
	cmd.Flags().StringVarP(to, "output", "o", values[0], "the `form` of the output: "+anyOf(values))
	completeValues(cmd, "output", values...)
}

// anyOf returns values as a sentence has them.
func anyOf(values []string) string {
	last := len(values) - 1
	return strings.Join(values[:last], ", ") + " or " + values[last]
}

// completeValues has a shell complete a flag's values.
func completeValues(cmd *cobra.Command, flag string, values ...string) {
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // there is no such flag, or it has one already
	}
}

func oneOf(flag, value string, values ...string) error {
	if slices.Contains(values, value) {
		return nil
	}
	return fmt.Errorf("--%s %q is not one of %q", flag, value, values)
}

// readInput reads a file, or standard input where it is called -.
func readInput(stdin io.Reader, path string) ([]byte, error) {
	if path != "-" {
		return os.ReadFile(path)
	}
	text, err := readLimited(stdin, maxDeclarative)
	if err != nil {
		return nil, fmt.Errorf("standard input: %w", err)
	}
	return text, nil
}
