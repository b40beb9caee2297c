package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"kong-traffic-split/kong/manifest"
	"kong-traffic-split/plugin/file"
)

// maxManifest is how many bytes a manifest may have.
const maxManifest = 64 << 20

// patchFlags are kubectl's, as far as they are needed for a file.
type patchFlags struct {
	file, namespace, kind string
	patch, patchFile      string
	local, dryRun         bool
	output                string
}

func patchCommand() *cobra.Command {
	var flags patchFlags
	cmd := &cobra.Command{
		Use:   "patch FILE [KIND/NAME]",
		Short: "Patch an object of a Kubernetes manifest in place",
		Long: `Makes a JSON patch (RFC 6902) to an object of a file of manifests, as kubectl patch does to
one of a cluster. Comments, order and layout stay, and so does the file where the patch does
not apply. KIND/NAME says which object is meant where the file has several.

The file - is standard input; the result is then written to standard output.`,
		Example: `  splitctl patch route.yaml --type json -p '[{"op": "replace", "path": "/spec/rules/0/backendRefs/0/weight", "value": 20}]'
  splitctl patch -f routes.yaml httproute/echo -n shop --type json --patch-file patch.yaml --dry-run`,
		RunE: func(cmd *cobra.Command, args []string) error { return flags.run(cmd, args) },

		ValidArgsFunction: flags.complete,
	}
	f := cmd.Flags()
	f.StringVarP(&flags.file, "filename", "f", "", "the `file`, instead of the first argument")
	f.StringVarP(&flags.namespace, "namespace", "n", "", "the object's `namespace`; one that has none in the file is in default")
	f.StringVar(&flags.kind, "type", "json", "the patch's `type`; json is the only one")
	f.StringVarP(&flags.patch, "patch", "p", "", "the `patch`, in JSON or YAML")
	f.StringVar(&flags.patchFile, "patch-file", "", "a `file` with the patch; - is standard input")
	f.BoolVar(&flags.local, "local", false, "as with kubectl; a file is all that is patched")
	f.BoolVar(&flags.dryRun, "dry-run", false, "show what would change, and change nothing")
	addOutput(cmd, &flags.output, "text", "json")
	completeValues(cmd, "type", "json")
	cmd.MarkFlagsOneRequired("patch", "patch-file")
	cmd.MarkFlagsMutuallyExclusive("patch", "patch-file")
	return cmd
}

func (p *patchFlags) run(cmd *cobra.Command, args []string) error {
	if p.kind != "json" {
		return fmt.Errorf("--type %q is not supported; give a JSON patch, and --type json", p.kind)
	}
	if err := oneOf("output", p.output, "text", "json"); err != nil {
		return err
	}
	if p.file == "" {
		if len(args) == 0 {
			return errors.New("no file is named: splitctl patch FILE, or -f FILE")
		}
		p.file, args = args[0], args[1:]
	}
	selector, err := p.selector(args)
	if err != nil {
		return err
	}
	if p.patchFile == "-" && p.file == "-" {
		return errors.New("the file and the patch cannot both be standard input")
	}
	patch := []byte(p.patch)
	switch p.patchFile {
	case "":
	case "-":
		patch, err = readLimited(cmd.InOrStdin(), maxManifest)
	default:
		patch, err = os.ReadFile(p.patchFile) // it may be a pipe of the shell's
	}
	if err != nil {
		return fmt.Errorf("--patch-file: %w", err)
	}
	if p.file == "-" {
		return p.patchInput(cmd, selector, patch)
	}
	out, err := p.patchFileInPlace(cmd.Context(), selector, patch)
	if err != nil {
		return err
	}
	return p.show(cmd.OutOrStdout(), out)
}

// selector returns which object is meant, as kubectl takes it: KIND/NAME, or KIND NAME.
func (p *patchFlags) selector(args []string) (s manifest.Selector, err error) {
	s.Namespace = p.namespace
	switch len(args) {
	case 0:
		return s, nil
	case 1:
		var ok bool
		if s.Kind, s.Name, ok = strings.Cut(args[0], "/"); ok && s.Kind != "" && s.Name != "" {
			return s, nil
		}
	case 2:
		s.Kind, s.Name = args[0], args[1]
		return s, nil
	}
	return s, fmt.Errorf("%q is not of the form KIND/NAME, as in httproute/echo", strings.Join(args, " "))
}

// complete completes the object, behind its file.
func (p *patchFlags) complete(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	path := p.file
	if path == "" && len(args) > 0 {
		path, args = args[0], args[1:]
	}
	switch {
	case path == "":
		return nil, cobra.ShellCompDirectiveDefault // the file
	case path == "-" || len(args) > 0:
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return manifest.Names(string(content), p.namespace), cobra.ShellCompDirectiveNoFileComp
}

// patchInput patches standard input.
func (p *patchFlags) patchInput(cmd *cobra.Command, s manifest.Selector, patch []byte) error {
	content, err := readLimited(cmd.InOrStdin(), maxManifest)
	if err != nil {
		return fmt.Errorf("standard input: %w", err)
	}
	out, err := manifest.Patch("-", string(content), s, patch)
	if err != nil {
		return err
	}
	if p.dryRun || p.output == "json" {
		return p.show(cmd.OutOrStdout(), out)
	}
	_, err = io.WriteString(cmd.OutOrStdout(), out.Text)
	return err
}

// patchFileInPlace patches the file, unless with dry-run.
func (p *patchFlags) patchFileInPlace(ctx context.Context, s manifest.Selector, patch []byte) (*manifest.Patched, error) {
	if p.dryRun {
		content, err := file.Content(p.file, maxManifest)
		if err != nil {
			return nil, err
		}
		return manifest.Patch(p.file, content, s, patch)
	}
	ctx, cancel := untilLocked(ctx)
	defer cancel()
	locked, err := file.Lock(ctx, p.file, maxManifest)
	if err != nil {
		return nil, err
	}
	defer locked.Close()
	out, err := manifest.Patch(p.file, locked.Content, s, patch)
	if err == nil && out.Text != locked.Content {
		err = locked.Replace(out.Text)
	}
	return out, err
}

// show writes what has changed.
func (p *patchFlags) show(to io.Writer, out *manifest.Patched) error {
	if p.output == "json" {
		return writeJSON(to, map[string]any{
			"file": p.file, "object": out.Object.String(), "difference": append([]string{}, out.Difference...),
			"written": !p.dryRun && p.file != "-" && len(out.Difference) > 0,
		})
	}
	if len(out.Difference) == 0 {
		_, err := fmt.Fprintf(to, "%s, %s: nothing changes\n", p.file, out.Object)
		return err
	}
	lines := append([]string{fmt.Sprintf("%s, %s:", p.file, out.Object)}, out.Difference...)
	if p.dryRun {
		lines = append(lines, "nothing is written: --dry-run")
	}
	_, err := fmt.Fprintln(to, strings.Join(lines, "\n"))
	return err
}

// readLimited reads all of a stream, up to limit bytes.
func readLimited(from io.Reader, limit int) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(from, int64(limit)+1))
	if err == nil && len(content) > limit {
		err = fmt.Errorf("is longer than %d bytes, the most that is read", limit)
	}
	return content, err
}
