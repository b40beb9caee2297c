package spec

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
)

// cmdStatus expects the last answer's status.
func (s *scene) cmdStatus(args []string) error {
	if err := arguments(args, "status code", 1, 1); err != nil {
		return err
	}
	if got := strconv.Itoa(s.last.status); got != args[0] {
		return fmt.Errorf("status %s, not %s:\n%s", got, args[0], s.last.body)
	}
	return nil
}

// cmdMessage expects that the last answer is {"message": …}, as Kong's own
// answers are, with this text.
func (s *scene) cmdMessage(args []string) error {
	if err := arguments(args, "message text", 1, 1); err != nil {
		return err
	}
	var body struct{ Message string }
	if err := json.Unmarshal(s.last.body, &body); err != nil {
		return fmt.Errorf("the answer is not a message: %w:\n%s", err, s.last.body)
	}
	if body.Message != args[0] {
		return fmt.Errorf("message %q, not %q", body.Message, args[0])
	}
	return nil
}

// cmdHeader claims that the last answer has a header with these values.
func (s *scene) cmdHeader(args []string) (string, error) {
	return headerHas("the answer", "header name [value]...", s.last.header, args)
}

// cmdSetCookie claims that one of the last answer's cookies, as it sets them,
// matches.
func (s *scene) cmdSetCookie(args []string) (string, error) {
	if err := arguments(args, "setcookie regexp", 1, 1); err != nil {
		return "", err
	}
	re, err := pattern(args[0])
	if err != nil {
		return "", err
	}
	cookies := s.last.header.Values("Set-Cookie")
	if slices.ContainsFunc(cookies, re.MatchString) {
		return "", nil
	}
	return fmt.Sprintf("none of the cookies %q matches %q", cookies, re), nil
}

// cmdReceived claims something of the request that the backend received, as it
// reports it: its path (with the query), host, method, proto or sni, or a
// header.
func (s *scene) cmdReceived(args []string) (string, error) {
	const usage = "received path|host|method|proto|sni value | received header name [value]..."
	if err := arguments(args, usage, 2, 100); err != nil {
		return "", err
	}
	var report struct {
		Path, Host, Method, Proto, SNI string
		Headers                        http.Header
	}
	if err := json.Unmarshal(s.last.body, &report); err != nil {
		return "", fmt.Errorf("the answer is not a backend's report: %w: status %d\n%s", err, s.last.status, s.last.body)
	}
	if args[0] == "header" {
		return headerHas("the backend's request", usage, report.Headers, args[1:])
	}
	fields := map[string]string{
		"path": report.Path, "host": report.Host, "method": report.Method, "proto": report.Proto, "sni": report.SNI,
	}
	got, known := fields[args[0]]
	if !known || len(args) != 2 {
		return "", fmt.Errorf("usage: %s", usage)
	}
	if got != args[1] {
		return fmt.Sprintf("%s %q, not %q", args[0], got, args[1]), nil
	}
	return "", nil
}

// headerHas tells what differs where a header has not exactly these values, in
// this order; without values, that it is missing.
func headerHas(whose, usage string, header http.Header, args []string) (string, error) {
	if err := arguments(args, usage, 1, 100); err != nil {
		return "", err
	}
	name, want := args[0], args[1:]
	got := header.Values(name)
	switch {
	case len(got) == 0:
		return fmt.Sprintf("%s has no header %s", whose, name), nil
	case len(want) > 0 && !slices.Equal(got, want):
		return fmt.Sprintf("%s: %s %q, not %q", whose, name, got, want), nil
	}
	return "", nil
}

// cmdErrorlog claims that the gateway's error log has something that matches.
// It waits for it, but not for its absence.
func (s *scene) cmdErrorlog(args []string) (string, error) {
	if s.gateway == nil {
		return "", fmt.Errorf("no gateway is running")
	}
	return s.logHas("errorlog", s.gateway.log, args)
}

// cmdPluginlog claims the same of what the plugin server writes.
func (s *scene) cmdPluginlog(args []string) (string, error) {
	if s.plugin == nil {
		return "", fmt.Errorf("no plugin server is running")
	}
	return s.logHas("pluginlog", s.plugin.log.String, args)
}

// cmdWritten claims the same of a file that something else writes.
func (s *scene) cmdWritten(args []string) (string, error) {
	if err := arguments(args, "written file regexp", 2, 2); err != nil {
		return "", err
	}
	read := func() string {
		text, _ := os.ReadFile(s.ts.MkAbs(args[0])) // not there before something is written
		return string(text)
	}
	return s.logHas("written", read, args[1:])
}

// cmdMetrics claims the same of the metrics that are served at an address.
func (s *scene) cmdMetrics(args []string) (string, error) {
	if err := arguments(args, "metrics address regexp", 2, 2); err != nil {
		return "", err
	}
	read := func() string {
		got, _ := sendHTTP1(args[0], request{method: http.MethodGet, target: "/metrics"}) // not there before it is served
		return string(got.body)
	}
	return s.logHas("metrics", read, args[1:])
}

func (s *scene) logHas(command string, log func() string, args []string) (string, error) {
	if err := arguments(args, command+" regexp", 1, 1); err != nil {
		return "", err
	}
	re, err := pattern(args[0])
	if err != nil {
		return "", err
	}
	found := func() bool { return re.MatchString(log()) }
	if s.negated {
		if !found() {
			return "not there", nil
		}
		return "", nil
	}
	if await(found) != nil {
		return fmt.Sprintf("nothing in the log matches %q", re), nil
	}
	return "", nil
}
