package health

import (
	"cmp"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// Protocol is the protocol of a target.
type Protocol string

// The protocols. Any other protocol is treated as TCP.
const (
	HTTP  Protocol = "http"
	HTTPS Protocol = "https"
	TCP   Protocol = "tcp"
)

// A Target is what is probed and how. Numbers that are not positive stand for their
// defaults. Targets that are equal with their defaults are one target.
type Target struct {
	// Host is a name, looked up for each probe, or an IP address; an IPv6 one
	// may have its brackets.
	Host string
	Port int
	// Protocol is HTTP where it is empty.
	Protocol Protocol
	// Path is the path, with its query, of a GET request. If it is empty, and for TCP,
	// the target is healthy if it accepts a connection.
	Path string
	// HostHeader is the Host of the request. Default: the host, with the port unless
	// that is the protocol's default. The server name of TLS is the same without a port.
	// Certificates are not verified, as Kong does not verify those of a Service by
	// default.
	HostHeader string

	Interval time.Duration // between the starts of two probes; default 5 s
	Timeout  time.Duration // of a whole probe, the look-up of the name included; default 1 s
	// So many probes in a row that succeed make it healthy (default 2), or that fail
	// unhealthy (default 3).
	Healthy, Unhealthy int
}

// normal fills in the defaults and removes what is ignored, so that targets that are
// probed in the same way are equal.
func (t Target) normal() Target {
	t.Host = strings.Trim(t.Host, "[]")
	t.Interval = positive(t.Interval, 5*time.Second)
	t.Timeout = positive(t.Timeout, time.Second)
	t.Healthy = positive(t.Healthy, 2)
	t.Unhealthy = positive(t.Unhealthy, 3)
	t.Protocol = cmp.Or(t.Protocol, HTTP)
	if t.Protocol != HTTP && t.Protocol != HTTPS || t.Path == "" {
		t.Protocol, t.Path, t.HostHeader = TCP, "", ""
	} else {
		t.HostHeader = cmp.Or(t.HostHeader, t.ownHost())
	}
	return t
}

func positive[N int | time.Duration](n, otherwise N) N {
	if n > 0 {
		return n
	}
	return otherwise
}

// address returns the address to dial.
func (t Target) address() string { return net.JoinHostPort(t.Host, strconv.Itoa(t.Port)) }

// ownHost returns the Host that a client sends by default.
func (t Target) ownHost() string {
	if t.Protocol == HTTP && t.Port == 80 || t.Protocol == HTTPS && t.Port == 443 {
		return strings.TrimSuffix(net.JoinHostPort(t.Host, ""), ":")
	}
	return t.address()
}

// Key returns the key under which it is saved that the target is unhealthy. It consists of
// the address and the request. Intervals, timeouts and counts are not part of it: when
// they are edited the target stays unhealthy.
func (t Target) Key() string {
	t = t.normal()
	return fmt.Sprintf("%s://%s%q %q", t.Protocol, t.address(), t.Path, t.HostHeader)
}

// String returns the target as a URL, with its Host if that is another.
func (t Target) String() string {
	t = t.normal()
	url := string(t.Protocol) + "://" + t.address() + t.Path
	if t.HostHeader != "" && t.HostHeader != t.ownHost() {
		url += " (Host: " + t.HostHeader + ")"
	}
	return url
}
