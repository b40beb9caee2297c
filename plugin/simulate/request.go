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
	IP       string // empty: none
	HTTPS    bool
}

// Consumer is the Kong consumer of a request; empty: there is none.
type Consumer = split.Consumer

// Facts returns the facts of the request. An error names the part that is wrong.
func (r Request) Facts() (f split.Facts, err error) {
	f = split.Facts{Method: r.Method, Consumer: r.Consumer, HTTPS: r.HTTPS}
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
