package simulate

import (
	"fmt"
	"net/netip"
	"strings"

	"kong-traffic-split/plugin/split"
)

// Request is a request as somebody writes it down.
type Request struct {
	Method   string
	Path     string   // as Kong normalises it, with a query or without
	Query    string   // without the ?
	Headers  []string // Name: value
	Cookies  []string // name=value
	Captures []string // name=value, of the route's path
	Consumer Consumer
	// Credential is the id of what the request was authenticated by, which counts where there
	// is no consumer; empty: none.
	Credential string
	IP         string // empty: none
	HTTPS      bool
}

// Consumer is the Kong consumer of a request; empty: there is none.
type Consumer = split.Consumer

// Facts returns the facts of the request. An error names the part that is wrong.
func (r Request) Facts() (f split.Facts, err error) {
	f = split.Facts{Method: r.Method, Consumer: r.Consumer, Credential: r.Credential, HTTPS: r.HTTPS}
	if err := r.refused(); err != nil {
		return f, err
	}
	path, query, _ := strings.Cut(r.Path, "?")
	f.Path, f.Query = path, join("&", query, r.Query)
	if r.IP != "" {
		if f.IP, err = netip.ParseAddr(r.IP); err != nil {
			return f, fmt.Errorf("ip: %q is not an IP address", r.IP)
		}
	}
	if f.Headers, err = pairs("header", "Name: value", ":", r.Headers); err != nil {
		return f, err
	}
	if f.Captures, err = pairs("capture", "name=value", "=", r.Captures); err != nil {
		return f, err
	}
	if _, err = pairs("cookie", "name=value", "=", r.Cookies); err != nil {
		return f, err
	}
	for _, h := range f.Headers {
		if strings.EqualFold(h.Name, "Cookie") {
			f.Cookies = join("; ", f.Cookies, h.Value)
		}
	}
	f.Cookies = join("; ", f.Cookies, strings.Join(r.Cookies, "; "))
	return f, nil
}

// refused returns an error for what Kong does not take for a request: it answers with 400.
func (r Request) refused() error {
	blank := func(c rune) bool { return c <= ' ' || c == 0x7f }
	switch {
	case strings.Trim(r.Method, methodBytes) != "":
		return fmt.Errorf("method: %q is not made of upper case letters, as in GET", r.Method)
	case r.Path != "" && !strings.HasPrefix(r.Path, "/"):
		return fmt.Errorf("path: %q does not begin with /", r.Path)
	case strings.ContainsFunc(r.Path, blank):
		return fmt.Errorf("path: %q has a blank in it; write it as clients do, with %%20", r.Path)
	case strings.ContainsFunc(r.Query, blank):
		return fmt.Errorf("query: %q has a blank in it; write it as clients do, with %%20", r.Query)
	}
	for _, h := range r.Headers {
		if name, _, _ := strings.Cut(h, ":"); strings.ContainsFunc(strings.TrimSpace(name), blank) {
			return fmt.Errorf("header: %q has a blank in its name", h)
		}
		if strings.ContainsAny(h, "\r\n\x00") {
			return fmt.Errorf("header: %q has more than one line", h)
		}
	}
	return nil
}

// methodBytes are those of which Kong takes a method to be made.
const methodBytes = "ABCDEFGHIJKLMNOPQRSTUVWXYZ_-"

// pairs splits texts into names and values.
func pairs(what, form, separator string, texts []string) (all []split.Header, err error) {
	for _, text := range texts {
		name, value, ok := strings.Cut(text, separator)
		if name = strings.TrimSpace(name); !ok || name == "" {
			return nil, fmt.Errorf("%s: %q is not of the form %s", what, text, form)
		}
		all = append(all, split.Header{Name: name, Value: strings.TrimSpace(value)})
	}
	return all, nil
}
