package standin

import (
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"kong-traffic-split/kong/expression"
)

// subject is what a request or a connection is routed by.
type subject struct {
	path        string // normalised
	method      string
	host        string // as it stands in the request
	port        int    // of the listener
	header      http.Header
	query       string
	tls         bool // has not been terminated, in a stream
	sni         string
	source      netip.AddrPort
	destination netip.AddrPort // the listener's
}

// protocol is what Kong's router has for net.protocol.
func (s subject) protocol() string {
	switch {
	case s.method == "" && s.sni != "":
		return "tls"
	case s.method == "":
		return "tcp"
	case s.tls:
		return "https"
	}
	return "http"
}

// errNoText is the error of a request that cannot be routed, as a field that a route
// asks for is not UTF-8, and errNoList that of an argument that comes several times, once
// without a value, which Kong's code does not survive.
var (
	errNoText = errors.New("invalid utf-8 sequence")
	errNoList = errors.New("fields.lua:420: attempt to compare boolean with string")
)

// values are those that a field of Kong's router has.
func (s subject) values(field string) ([]expression.Value, error) {
	if name, ok := strings.CutPrefix(field, "http.headers."); ok {
		return texts(s.headerValues(name)...)
	}
	if name, ok := strings.CutPrefix(field, "http.queries."); ok {
		return s.argValues(name)
	}
	if place, ok := strings.CutPrefix(field, "http.path.segments."); ok {
		return s.segments(place)
	}
	switch field {
	case "http.path":
		return texts(s.path)
	case "http.method":
		return texts(s.method)
	case "http.host":
		host, _ := splitPort(s.host, 0)
		return texts(host)
	case "net.protocol":
		return texts(s.protocol())
	case "tls.sni":
		if s.sni == "" {
			return nil, nil
		}
		return texts(s.sni)
	case "net.dst.port":
		if s.method == "" {
			return []expression.Value{int64(s.destination.Port())}, nil
		}
		_, port := splitPort(s.host, s.port)
		return []expression.Value{int64(port)}, nil
	case "net.src.port":
		return []expression.Value{int64(s.source.Port())}, nil
	case "net.src.ip":
		return []expression.Value{s.source.Addr()}, nil
	case "net.dst.ip":
		return []expression.Value{s.destination.Addr()}, nil
	}
	return nil, nil
}

func texts(all ...string) (values []expression.Value, err error) {
	for _, text := range all {
		if !utf8.ValidString(text) {
			return nil, errNoText
		}
		values = append(values, text)
	}
	return values, nil
}

// headerValues finds a header by a name in which _ stands for -, too.
func (s subject) headerValues(name string) []string {
	if name == "host" {
		return []string{s.host}
	}
	if values := s.header[http.CanonicalHeaderKey(name)]; values != nil && name == strings.ToLower(name) {
		return values
	}
	return s.header.Values(strings.ReplaceAll(name, "_", "-"))
}

// argValues are those of an argument of the query. One without a value is empty.
func (s subject) argValues(name string) ([]expression.Value, error) {
	switch v := parseArgs(s.query, maxArgs)[name].(type) {
	case string:
		return texts(v)
	case bool:
		return texts("")
	case []any:
		var all []string
		for _, element := range v {
			text, ok := element.(string)
			if !ok {
				return nil, errNoList
			}
			all = append(all, text)
		}
		return texts(all...)
	}
	return nil, nil
}

// segments are a part of the path between two slashes, several of them, or their number.
func (s subject) segments(place string) ([]expression.Value, error) {
	all := strings.Split(strings.TrimPrefix(s.path, "/"), "/")
	for len(all) > 1 && all[len(all)-1] == "" { // as ngx.re.split leaves them out
		all = all[:len(all)-1]
	}
	if place == "len" {
		return []expression.Value{int64(len(all))}, nil
	}
	first, last, isRange := strings.Cut(place, "_")
	from, err := strconv.Atoi(first)
	to := from
	if isRange && err == nil {
		to, err = strconv.Atoi(last)
	}
	if err != nil || to >= len(all) {
		return nil, nil
	}
	return texts(strings.Join(all[from:to+1], "/"))
}
