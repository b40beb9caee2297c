package simulate

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"kong-traffic-split/plugin/split"
)

// Clients are who makes requests. Each has a key, which it sends in what the split's
// hash_on is about, and keeps the cookies of sessions.
type Clients struct {
	Number int      // distinct ones, of whom one is drawn for each request; 0: 1000, where the split tells clients apart
	Keys   []string // instead: the keys of those who come, one a request, over and over
	Source string   // where the keys are from, for errors
}

const (
	someClients = 1000
	maxClients  = 1_000_000
)

// crowd are the clients of a play; nil: nobody tells them apart.
type crowd struct {
	hash   split.Key // what clients send their key in; empty: nothing
	of     Clients
	random *rand.Rand
	known  map[string]*visitor // who has come, by key
}

// visitor is a client who has come.
type visitor struct {
	cookies string
	backend int // where it was last; -1: nowhere yet
	moves   int // from one backend to another
}

func newCrowd(s *split.Split, o *Options) (*crowd, error) {
	c := &crowd{of: o.Clients, random: rand.New(rand.NewPCG(o.Seed, 3)), known: map[string]*visitor{}}
	if len(s.HashOn) > 0 {
		c.hash = s.HashOn[0]
	}
	switch {
	case c.of.Number < 0 || c.of.Number > maxClients:
		return nil, fmt.Errorf("clients: %d is not in 1..%d", c.of.Number, maxClients)
	case s.Session == nil && c.hash.On == "":
		return nil, nil
	case c.of.Number == 0:
		c.of.Number = someClients
	}
	for i, key := range c.of.Keys {
		if _, err := netip.ParseAddr(key); c.hash.On == split.OnIP && err != nil {
			return nil, fmt.Errorf("keys: %s:%d: %q is not an IP address, and hash_on is ip", c.of.Source, i+1, key)
		}
	}
	return c, nil
}

// next is who makes request k, and puts into f what the client sends.
func (c *crowd) next(k int, f *split.Facts) *visitor {
	if c == nil {
		return nil
	}
	var key string
	if n := len(c.of.Keys); n > 0 {
		key = c.of.Keys[k%n]
	} else {
		key = c.name(c.random.IntN(c.of.Number))
	}
	v := c.known[key]
	if v == nil {
		v = &visitor{backend: -1}
		c.known[key] = v
	}
	c.send(key, f)
	f.Cookies = join("; ", f.Cookies, v.cookies)
	return v
}

// name is the key of client i where none is given.
func (c *crowd) name(i int) string {
	switch c.hash.On {
	case split.OnIP:
		return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}).String()
	case split.OnPath:
		return "/client-" + strconv.Itoa(i+1)
	default:
		return "client-" + strconv.Itoa(i+1)
	}
}

// send puts a client's key where hash_on looks for it.
func (c *crowd) send(key string, f *split.Facts) {
	with := func(list []split.Header) []split.Header {
		return append([]split.Header{{Name: c.hash.Name, Value: key}}, list...) // the first one counts
	}
	switch c.hash.On {
	case split.OnConsumer:
		f.Consumer = split.Consumer{ID: key, CustomID: key, Username: key}
	case split.OnIP:
		f.IP, _ = netip.ParseAddr(key) // checked
	case split.OnHeader:
		f.Headers = with(f.Headers)
	case split.OnCookie:
		f.Cookies = join("; ", c.hash.Name+"="+key, f.Cookies)
	case split.OnPath:
		f.Path = key
	case split.OnQueryArg:
		f.Query = join("&", url.QueryEscape(c.hash.Name)+"="+url.QueryEscape(key), f.Query)
	case split.OnURICapture:
		f.Captures = with(f.Captures)
	}
}

// join puts a separator between two texts, if there are two.
func join(separator, a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + separator + b
}

// went takes note of where a client was sent.
func (v *visitor) went(d split.Decision) {
	if v == nil {
		return
	}
	if v.backend >= 0 && v.backend != d.Backend {
		v.moves++
	}
	v.backend = d.Backend
	if d.SetCookie != "" { // a session's, the only one there is
		v.cookies, _, _ = strings.Cut(d.SetCookie, ";")
	}
}

// ClientCounts say how often clients came to another backend than the time before.
type ClientCounts struct {
	Number int `json:"number"` // who came at all
	Moved  int `json:"moved"`  // who moved at least once
	Moves  int `json:"moves"`  // of all of them together
}

// summary counts the clients; nil where nobody tells them apart.
func (c *crowd) summary() *ClientCounts {
	if c == nil {
		return nil
	}
	counts := ClientCounts{Number: len(c.known)}
	for _, v := range c.known {
		counts.Moves += v.moves
		if v.moves > 0 {
			counts.Moved++
		}
	}
	return &counts
}
