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

// Clients are the clients that make requests. Each sends a key of its own where the
// split's hash_on looks for it, and keeps the cookies of sessions.
type Clients struct {
	Number int      // how many; each request is of a random one; 0: 1000, if the split distinguishes clients
	Keys   []string // instead, the keys of the clients of the requests, one after another, over and over
	Source string   // of Keys, for errors
}

const (
	defaultClients = 1000
	maxClients     = 1_000_000
)

// crowd are the clients of a play; nil: the split does not distinguish clients.
type crowd struct {
	hash    split.Key // where clients send their keys; empty: nowhere
	clients Clients
	random  *rand.Rand
	known   map[string]*visitor // clients that have made requests, by key
}

// visitor is a client that has made requests.
type visitor struct {
	cookies string
	backend int // of its latest request; -1: there was none
	moves   int // from one backend to another
}

func newCrowd(s *split.Split, o *Options) (*crowd, error) {
	c := &crowd{clients: o.Clients, random: rand.New(rand.NewPCG(o.Seed, 3)), known: map[string]*visitor{}}
	if len(s.HashOn) > 0 {
		c.hash = s.HashOn[0]
	}
	switch {
	case c.clients.Number < 0 || c.clients.Number > maxClients:
		return nil, fmt.Errorf("clients: %d is not in 1..%d", c.clients.Number, maxClients)
	case s.Session == nil && c.hash.On == "":
		return nil, nil
	case c.clients.Number == 0:
		c.clients.Number = defaultClients
	}
	for i, key := range c.clients.Keys {
		if _, err := netip.ParseAddr(key); c.hash.On == split.OnIP && err != nil {
			return nil, fmt.Errorf("keys: %s:%d: %q is not an IP address, and hash_on is ip", c.clients.Source, i+1, key)
		}
	}
	return c, nil
}

// next returns the client of request k, and adds what it sends to f.
func (c *crowd) next(k int, f *split.Facts) *visitor {
	if c == nil {
		return nil
	}
	var key string
	if n := len(c.clients.Keys); n > 0 {
		key = c.clients.Keys[k%n]
	} else {
		key = c.name(c.random.IntN(c.clients.Number))
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

// name returns the key of client i if there are no Keys.
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

// send adds a client's key to f where hash_on looks for it.
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

// join joins two texts; an empty one is left out.
func join(separator, a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + separator + b
}

// record records the backend that a client got.
func (v *visitor) record(d split.Decision) {
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

// ClientCounts are how often clients got another backend than the time before.
type ClientCounts struct {
	Number int `json:"number"` // that made requests
	Moved  int `json:"moved"`  // that moved at least once
	Moves  int `json:"moves"`  // of all of them together
}

// summary counts the clients; nil: the split does not distinguish them.
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
