package health

import (
	"cmp"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// Protocol is what a target speaks.
type Protocol string

// The protocols. TCP also stands for any that is not named here.
const (
	HTTP  Protocol = "http"
	HTTPS Protocol = "https"
	TCP   Protocol = "tcp"
)

// A Target says what is probed and how. Numbers that are not positive stand for
// their defaults. Equal targets are one.
type Target struct {
	// Host is a name, looked up for each probe, or an IP address; an IPv6 one
	// may have its brackets.
	Host string
	Port int
	// Protocol is HTTP where it is empty.
	Protocol Protocol
	// Path is what a GET asks for, a query included. Where it is empty, and for
	// TCP, a connection that can be made is well.
	Path string
	// HostHeader is the Host of the request. Default: the host, with the port
	// unless it is the protocol's own. The server name of TLS is that Host
	// without its port. Certificates are not verified, as Kong does not verify
	// those of a Service by default.
	HostHeader string

	Interval time.Duration // between the starts of two probes; default 5 s
	Timeout  time.Duration // of a whole probe, the look-up of the name included; default 1 s
	// Healthy probes in a row that go well make it healthy (default 2), and
	// Unhealthy ones that fail make it unhealthy (default 3).
	Healthy, Unhealthy int
}

// normal fills in the defaults and leaves out what does not count, so that
// targets that are probed alike are equal.
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

// address is what is dialled.
func (t Target) address() string { return net.JoinHostPort(t.Host, strconv.Itoa(t.Port)) }

// ownHost is the Host that a client sends of its own accord.
func (t Target) ownHost() string {
	if t.Protocol == HTTP && t.Port == 80 || t.Protocol == HTTPS && t.Port == 443 {
		return strings.TrimSuffix(net.JoinHostPort(t.Host, ""), ":")
	}
	return t.address()
}

// Key names what the health of is saved: what is asked, and where. How often, how
// long and how many times in a row is not part of it: an edit of these makes no
// backend healthy.
func (t Target) Key() string {
	t = t.normal()
	return fmt.Sprintf("%s://%s%q %q", t.Protocol, t.address(), t.Path, t.HostHeader)
}

// String is the target as a URL, with its Host where that is another.
func (t Target) String() string {
	t = t.normal()
	url := string(t.Protocol) + "://" + t.address() + t.Path
	if t.HostHeader != "" && t.HostHeader != t.ownHost() {
		url += " (Host: " + t.HostHeader + ")"
	}
	return url
}
