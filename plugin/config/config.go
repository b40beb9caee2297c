// Package config owns the configuration of a split: the Go types of its
// parameters and the one table that describes them. From that table come the
// decoding, the defaults and the checks of both sources (the JSON that Kong
// sends and the YAML of a split file), the schema that Kong enforces, the JSON
// Schema for editors and the reference for readers. A checked configuration
// compiles to a split.
package config

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
)

//go:generate go run ./generate

// Config is the checked configuration of one plugin row or of one entry of a
// split file, with its defaults filled in. It is not changed after it was
// decoded, so it may be shared. Times are in seconds, as in Kong.
type Config struct {
	Backends  []Backend
	Algorithm string // smooth or random

	// What to hash, and what to hash if that is absent: none, consumer, ip, header,
	// cookie, path, query_arg or uri_capture. The name of such a header, cookie, argument
	// or capture is never empty; the other names are ignored.
	HashOn, HashOnHeader, HashOnCookie, HashOnQueryArg, HashOnURICapture                               string
	HashFallback, HashFallbackHeader, HashFallbackCookie, HashFallbackQueryArg, HashFallbackURICapture string

	Session     *Session // nil: clients are not pinned
	Rules       []Rule
	ForceHeader string // empty: none
	Ramp        *Ramp  // nil: the weights are constant

	OnUnavailable  string   // fail, redistribute or fallback
	Fallback       string   // a backend's name; ignored unless OnUnavailable is fallback
	MaxEjected     *float64 // percent of the weights; nil: all
	Retry          *Retry   // nil: no request is tried on another backend
	Mirror         []Mirror // the shadows that get copies
	ResponseHeader string   // empty: the client is not told
	LogDecision    bool
	Split          string // the name of the entry in the split files to use; empty: the Kong route's name
}

// Backend is one destination: the route's own Service, a Kong Upstream or a host; or a
// redirect in the place of one. It is only one of these.
type Backend struct {
	Name            string    // never empty
	Service         bool      // the route's own Service
	Upstream        string    // the name of a Kong Upstream; empty: it is none
	Host            string    // a host name, an IPv4 address, or an IPv6 address without brackets; empty: it is none
	Port            int       // 1 to 65535; 0 where there is no host
	Redirect        *Redirect // nil: it is none
	Weight          int       // a share, relative to the sum of the weights
	Protocol        string    // http or https; empty: the Service's
	Path            string    // put before the path that Kong computed; empty: nothing
	ReplacePrefix   string    // takes the place of what the route has matched; empty: nothing does
	ReplacePath     string    // takes the place of the whole path; empty: nothing does
	HostHeader      string    // preserve or a literal; empty: as Kong does for a Service
	Timeouts        Timeouts
	Retries         *int // nil: the Service's
	RequestHeaders  RequestHeaders
	ResponseHeaders ResponseHeaders
	Health          *Health // of a host only; nil: no health checks
	SlowStart       float64 // in which its share grows after it was unhealthy; 0: it has it at once
}

// Redirect is where clients are led to. What is empty, or 0, is as the client asked for it.
type Redirect struct {
	Scheme        string // http or https
	Hostname      string // a host name, an IPv4 address, or an IPv6 address without brackets
	Port          int    // 0 with a Scheme: the scheme's own
	Path          string // the whole
	ReplacePrefix string // takes the place of what the route has matched
	Status        int    // 301, 302, 303, 307 or 308
}

// Timeouts are how long Kong waits for a backend; 0: as long as for the Service.
type Timeouts struct{ Connect, Write, Read float64 }

// Health has the health checks of a backend.
type Health struct {
	Active  *Active  // nil: it is not probed
	Passive *Passive // nil: the outcomes of its requests are ignored
}

// Active probes a backend.
type Active struct {
	Path               string  // empty: opening a TCP connection is the probe
	Interval, Timeout  float64 // Timeout is at most Interval
	Healthy, Unhealthy int     // how many results in a row make it healthy or unhealthy
}

// Passive ejects a backend whose requests fail.
type Passive struct {
	Failures int // in a row
	Ejection float64
}

// Session pins a client to its first backend by a cookie.
type Session struct {
	Cookie         string // its name; empty: one derived from the split's identity
	MaxAge         int    // 0: until the browser closes
	Renew          bool   // MaxAge, which is above 0, counts from the last visit
	Path, Domain   string
	Secure         string // auto, always or never
	HTTPOnly       bool
	SameSite       string // Lax, Strict or None
	Partitioned    bool
	Secret         Secret // signs cookies
	PreviousSecret Secret // has signed older cookies, which stay valid; empty: none
	Generation     int
}

// Secret is a string that is not shown by formatting nor in JSON.
type Secret string

const hidden = "(secret)"

// String does not return the secret.
func (Secret) String() string { return hidden }

// GoString does not return the secret either.
func (Secret) GoString() string { return hidden }

// MarshalText returns no more than whether there is a secret.
func (s Secret) MarshalText() ([]byte, error) {
	if s == "" {
		return nil, nil
	}
	return []byte(hidden), nil
}

// Rule decides about the requests that it matches.
type Rule struct {
	Match   Match
	Backend string         // a backend's name; empty: Weights decide
	Weights map[string]int // by the backend's name; those that are missing have 0
}

// Match holds if all of its conditions do, and none of those of Not.
type Match struct {
	Conditions
	Not *Conditions // nil: there are none
}

// Conditions are parts of a request to look for. An empty part is none.
type Conditions struct {
	Headers, Cookies, QueryArgs map[string][]string // by name: exact values, and regular expressions after a ~
	Methods                     []string
	PathPrefix                  string
	Consumers                   []string
	ClientIPs                   []string // addresses and networks
}

// Ramp changes the share of one backend by the clock.
type Ramp struct {
	Backend  string
	From     float64  // percent, with two decimals at most, as all of its shares
	To       *float64 // nil if there is a plan
	Start    string   // RFC 3339
	Duration float64
	Steps    int        // 0: continuous
	Plan     []PlanStep // in the place of To, Duration and Steps; empty: these
	Hold     *float64   // the share, whatever the clock says; nil: the clock decides
	Guard    *Guard     // nil: it is never rolled back
}

// PlanStep is a step of a ramp's plan.
type PlanStep struct {
	Share float64
	For   float64 // 0: until the plan changes
}

// Guard rolls a ramp back when too many of its backend's requests fail or take too long.
// At least one of its limits is above 0; one that is 0 is none.
type Guard struct {
	RollbackTo     float64 // percent, with two decimals at most
	MaxErrorRatio  float64 // below 1
	MaxErrorExcess float64 // over the ratio of the other backends, below 1
	MaxLatency     float64
	Quantile       float64 // of MaxLatency, above 0 and below 1
	MinRequests    int
	Window         float64
	Wait           bool // no step begins before the one before it was judged
}

// Retry has requests that fail on one backend tried on others. All backends are hosts then.
type Retry struct {
	Max     int    // how many others at most; at least 1
	Backend string // the name of the only other one; empty: all, by their weights
}

// RequestHeaders are the changes to the headers that a backend receives.
type RequestHeaders struct {
	Set, Add map[string]string
	Remove   []string
}

// ResponseHeaders are the changes to the headers that a backend's clients receive.
type ResponseHeaders struct {
	Set, Add map[string]string
	Remove   []string
}

// NeedsHTTP returns the names of the parameters that are set and make no sense for TCP or
// TLS connections that Kong forwards without reading them; empty: there are none.
func (c *Config) NeedsHTTP() string {
	if len(c.Backends) == 0 {
		return "" // a split file has the parameters
	}
	return strings.Join(row.needHTTP(reflect.ValueOf(c).Elem(), "", nil), ", ")
}

// needHTTP adds the names in a record to found.
func (f *field) needHTTP(record reflect.Value, path string, found []string) []string {
	for i := range f.fields {
		p := &f.fields[i]
		at, v := Join(path, p.name), record.FieldByName(goName(p.name))
		switch {
		case v.IsZero() || slices.Contains(p.notHTTP, v.String()):
		case p.http:
			found = append(found, at)
		case p.kind == kindRecord:
			found = p.needHTTP(reflect.Indirect(v), at, found)
		case p.kind == kindArray && p.elements.kind == kindRecord:
			for i := range v.Len() {
				found = p.elements.needHTTP(v.Index(i), at+"["+strconv.Itoa(i)+"]", found)
			}
		}
	}
	return found
}
