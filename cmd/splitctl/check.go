package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"kong-traffic-split/cmd/command"
	"kong-traffic-split/kong/check"
	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/file"
)

func checkCommand() *cobra.Command {
	options := check.Options{Lookup: os.LookupEnv}
	var output string
	cmd := &cobra.Command{
		Use:   "check FILE...",
		Short: "Find what is wrong with files before they go live",
		Long: `Checks declarative files of Kong's or decK's, split files, and manifests with routes
of the Gateway API, which it tells apart by their content. It finds what Kong would
refuse, what the plugin would refuse, and traps that both accept, and says nothing
where all is well. Rows of the plugin without backends are compared with the split
files that are given. FILE may be a folder, whose files *.yaml and *.yml are taken,
or - for standard input.

The exit status is 1 if there is an error; warnings alone leave it 0. A comment in the
file, # splitctl:ignore ID, leaves a warning out.
`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			command.EndAtOnce()
			if err := oneOf("output", output, "text", "json", "github", "sarif"); err != nil {
				return err
			}
			sources, err := readSources(cmd.InOrStdin(), args)
			if err != nil {
				return err
			}
			findings := check.Files(sources, options)
			to := cmd.OutOrStdout()
			switch output {
			case "json":
				err = check.WriteJSON(to, findings)
			case "github":
				err = check.WriteGitHub(to, findings)
			case "sarif":
				err = check.WriteSARIF(to, plugin.Version, findings)
			default:
				var text strings.Builder
				_ = check.WriteText(&text, findings) // to memory
				_, err = io.WriteString(to, command.Harmless(text.String()))
			}
			if err == nil && check.HasErrors(findings) {
				err = command.ErrReported
			}
			return err
		},
	}
	f := cmd.Flags()
	addOutput(cmd, &output, "text", "json", "github", "sarif")
	f.BoolVar(&options.NoOutcomes, "no-outcomes", false, "the plugin server is started without -outcomes")
	return cmd
}

// readSources reads the files that are named, and those in folders that are.
func readSources(stdin io.Reader, paths []string) (all []check.Source, err error) {
	for _, path := range paths {
		if path == "-" {
			data, err := io.ReadAll(io.LimitReader(stdin, maxDeclarative+1))
			if err == nil && len(data) > maxDeclarative {
				err = fmt.Errorf("is longer than %d bytes, the most that is read", maxDeclarative)
			}
			if err != nil {
				return nil, fmt.Errorf("standard input: %w", err)
			}
			all = append(all, check.Source{Name: "-", Data: data})
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			source, err := readSource(path, "")
			if err != nil {
				return nil, err
			}
			all = append(all, source)
			continue
		}
		var inside []string
		for _, pattern := range []string{"*.yaml", "*.yml"} {
			found, err := filepath.Glob(filepath.Join(globEscape(path), pattern))
			if err != nil {
				return nil, err
			}
			inside = append(inside, found...)
		}
		if inside == nil {
			return nil, fmt.Errorf("%s: the folder has no file *.yaml or *.yml", path)
		}
		for _, each := range inside {
			if strings.HasPrefix(filepath.Base(each), ".") {
				continue
			}
			source, err := readSource(each, path)
			if err != nil {
				return nil, err
			}
			all = append(all, source)
		}
	}
	return all, nil
}

func readSource(path, folder string) (check.Source, error) {
	content, err := file.Content(path, maxDeclarative)
	return check.Source{Name: path, Folder: folder, Data: []byte(content)}, err
}

// globEscape writes a path as a pattern that matches it alone.
func globEscape(path string) string {
	return strings.NewReplacer("*", `\*`, "?", `\?`, "[", `\[`, `\`, `\\`).Replace(path)
}
