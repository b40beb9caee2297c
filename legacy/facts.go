package main

import (
	"cmp"
	"fmt"
	"net/http"
	"net/netip"
	gopath "path"
	"slices"
	"strings"
	"time"

	"github.com/Kong/go-pdk/client"

	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/split"
)

// facts asks Kong for what the split needs to know of the request, and makes the rest of
// it be asked for where that counts.
func (r *request) facts() (split.Facts, error) {
	f := split.Facts{Now: time.Now(), More: func(f *split.Facts) error { return r.ask(f, &r.more) }}
	return f, r.ask(&f, &r.needs)
}

// ask asks Kong for what n names.
func (r *request) ask(f *split.Facts, n *split.Needs) error {
	var failed error
	ask := func(wanted bool, method string, args ...any) (text string) {
		if wanted && failed == nil {
			text, failed = r.text(method, args...)
		}
		return text
	}
	f.Method = cmp.Or(f.Method, ask(n.Method || n.Preflight && f.Method == "", "kong.request.get_method"))
	f.Path = cmp.Or(f.Path, normal(ask(n.Path, "kong.request.get_path")))
	f.Query = cmp.Or(f.Query, ask(n.Query, "kong.request.get_raw_query"))
	// Not request.get_header, which has the first of several Cookie headers only.
	f.Cookies = cmp.Or(f.Cookies, ask(n.Cookies, "kong.nginx.get_var", "http_cookie"))
	f.HTTPS = f.HTTPS || ask(n.HTTPS, "kong.request.get_forwarded_scheme") == "https"
	if n.IP {
		f.IP, _ = netip.ParseAddr(ask(true, "kong.client.get_forwarded_ip")) // of a Unix socket's client there is none
	}
	headers := n.Headers
	if n.Preflight && f.Method == http.MethodOptions {
		headers = slices.Concat(headers, []string{split.OriginHeader, split.PreflightHeader})
	}
	for _, name := range headers {
		if value := ask(true, "kong.request.get_header", name); value != "" {
			f.Headers = append(f.Headers, split.Header{Name: name, Value: value})
		}
	}
	if n.Consumer && failed == nil {
		c, err := r.kong.Client.GetConsumer()
		f.Consumer, failed = split.Consumer{ID: c.Id, CustomID: c.CustomId, Username: c.Username}, err
	}
	if n.Credential && failed == nil && r.split.NeedsCredential(f) {
		// Not Client.GetCredential, which prints what it gets.
		reply, err := r.kong.Client.Ask("kong.client.get_credential")
		c, _ := reply.(client.AuthenticatedCredential)
		f.Credential, failed = c.Id, err
	}
	if failed != nil {
		return fmt.Errorf("asking Kong for what the split depends on: %w", failed)
	}
	return nil
}

// text asks for a string, which is empty where there is none: go-pdk's own methods
// make an error of that.
func (r *request) text(method string, args ...any) (string, error) {
	reply, err := r.kong.Request.Ask(method, args...)
	if err != nil {
		return "", fmt.Errorf("%s: %w", method, err)
	}
	text, _ := reply.(string)
	return text, nil
}

// normal is a path as Kong has it when it routes, and from 3.0 on tells it:
// Kong 2.x tells it as the client sent it.
func normal(path string) string {
	if path == "" {
		return ""
	}
	path = config.NormalPath(path)
	clean := gopath.Clean(path)
	for _, folder := range []string{"/", "/.", "/.."} {
		if clean != "/" && strings.HasSuffix(path, folder) {
			return clean + "/"
		}
	}
	return clean
}
