package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kong-traffic-split/cmd/command"
	"kong-traffic-split/kong/check"
	"kong-traffic-split/kong/declarative"
	"kong-traffic-split/plugin/simulate"
)

const fileLong = `FILE is a split file or a folder of them, or a declarative file of Kong's: its
enabled rows of the plugin traffic-split are the splits then, called by the route,
service or consumer that they are on, or global. - is standard input.
`

// requestFlags are the flags for a request.
type requestFlags struct {
	request  simulate.Request
	consumer string
}

func (r *requestFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&r.request.Method, "method", "GET", "the request's `method`")
	f.StringVar(&r.request.Path, "path", "/", "its `path`, with a query or without")
	f.StringVar(&r.request.Query, "query", "", "its `query`, as in \"a=1&b=2\"")
	f.StringArrayVar(&r.request.Headers, "header", nil, "a header, `'Name: value'`; may be repeated")
	f.StringArrayVar(&r.request.Cookies, "cookie", nil, "a cookie, `name=value`; may be repeated")
	f.StringArrayVar(&r.request.Captures, "capture", nil, "a capture of the route's path, `name=value`; may be repeated")
	f.StringVar(&r.consumer, "consumer", "", "the authenticated consumer, by its `name` or id")
	f.StringVar(&r.request.Credential, "credential", "", "the `id` of the credential of a request without a consumer")
	f.StringVar(&r.request.IP, "ip", "", "the client's `address`")
	f.BoolVar(&r.request.HTTPS, "https", false, "the client comes by https")
}

// read returns the request to some splits. It looks its consumer up in the splits' file,
// and refuses what Kong would not let through to them.
func (r *requestFlags) read(cmd *cobra.Command, splits *splitsFile, chosen []namedSplit) (simulate.Request, error) {
	request := r.request
	request.Path = declarative.NormalizePath(request.Path)
	if r.consumer != "" {
		var err error
		if request.Consumer, err = splits.consumer(r.consumer); err != nil {
			return request, err
		}
	}
	said := r.said(cmd, request)
	for _, s := range chosen {
		if s.row == nil {
			continue
		}
		if err := s.row.Refuses(said); err != nil {
			return request, fmt.Errorf("%w (split %s)", err, s.name)
		}
	}
	return request, nil
}

// said returns what the flags that are given say of the request.
func (r *requestFlags) said(cmd *cobra.Command, request simulate.Request) (said check.Request) {
	for _, name := range []string{"method", "path", "query", "header", "cookie", "capture", "consumer", "credential", "https"} {
		if cmd.Flags().Changed(name) && said.HTTP == "" {
			said.HTTP = name
		}
	}
	if cmd.Flags().Changed("method") {
		said.Method = request.Method
	}
	if cmd.Flags().Changed("path") {
		said.Path, said.Query, _ = strings.Cut(request.Path, "?")
	}
	if request.Query != "" {
		said.Query = strings.TrimPrefix(said.Query+"&"+request.Query, "&")
	}
	if request.HTTPS {
		said.Scheme = "https"
	}
	for _, text := range request.Headers {
		name, value, _ := strings.Cut(text, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if strings.EqualFold(name, "Host") {
			said.Host = value
		}
		said.Headers = append(said.Headers, check.Header{Name: name, Value: value})
	}
	for _, text := range request.Captures {
		name, _, _ := strings.Cut(text, "=")
		said.Captures = append(said.Captures, strings.TrimSpace(name))
	}
	return said
}

func explainCommand() *cobra.Command {
	var request requestFlags
	var name, at, output string
	var down, unhealthy []string
	cmd := &cobra.Command{
		Use:   "explain FILE",
		Short: "Say which backend takes a request, and why",
		Long: `Says which backend takes a request, and how each part of the precedence comes into
it. The request is the first one of a split that has made no choice yet.

` + fileLong,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			command.EndAtOnce()
			if err := oneOf("output", output, "text", "json"); err != nil {
				return err
			}
			now, err := moment("at", at, time.Now())
			if err != nil {
				return err
			}
			f, err := readSplits(cmd.InOrStdin(), args[0])
			if err != nil {
				return err
			}
			chosen, err := f.one(name)
			if err != nil {
				return err
			}
			asked, err := request.read(cmd, f, []namedSplit{chosen})
			if err != nil {
				return flagError(err)
			}
			facts, err := asked.Facts()
			if err != nil {
				return flagError(err)
			}
			facts.Now = now
			s := chosen.config.Compile(chosen.identity)
			warnMissing(cmd, f, chosen)
			if facts.Down, err = simulate.Named(s, append(down, chosen.missing...)); err != nil {
				return fmt.Errorf("--down: %w", err)
			}
			if facts.Unhealthy, err = simulate.Named(s, unhealthy); err != nil {
				return fmt.Errorf("--unhealthy: %w", err)
			}
			e := simulate.Explain(chosen.name, s, facts)
			if output == "json" {
				return writeJSON(cmd.OutOrStdout(), e)
			}
			return e.WriteText(cmd.OutOrStdout())
		},
	}
	request.add(cmd)
	f := cmd.Flags()
	f.StringVar(&name, "split", "", "which split, by its `name`; needed where there are several")
	f.StringVar(&at, "at", "", "when, a `time` as in RFC 3339 (default: now)")
	f.StringArrayVar(&down, "down", nil, "a backend that does not exist, by its `name`; may be repeated")
	f.StringArrayVar(&unhealthy, "unhealthy", nil, "a backend that probes have found unhealthy, by its `name`; may be repeated")
	addOutput(cmd, &output, "text", "json")
	completeFlag(cmd, "split", completeSplits)
	completeFlag(cmd, "down", completeBackends(""))
	completeFlag(cmd, "unhealthy", completeBackends(""))
	return cmd
}

// warnMissing writes which backends do not exist, as Kong does not have their Upstreams.
func warnMissing(cmd *cobra.Command, f *splitsFile, s namedSplit) {
	if len(s.missing) > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: split %s: down, as there are no such Upstreams: %s\n", f.path, s.name, strings.Join(s.missing, ", "))
	}
}

// flagError turns an error that begins with an option into one with a flag.
func flagError(err error) error { return fmt.Errorf("--%w", err) }

// moment parses the time of a flag; if it is empty, it returns otherwise.
func moment(flag, text string, otherwise time.Time) (time.Time, error) {
	if text == "" {
		return otherwise, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("--%s %q is not a time such as 2026-12-01T08:00:00Z", flag, text)
	}
	return t, nil
}

func writeJSON(to io.Writer, v any) error {
	e := json.NewEncoder(to)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
