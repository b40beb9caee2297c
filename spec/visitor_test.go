package spec

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

// A visitor is a client that a script has given a name: it keeps its cookies, and
// the script can tell whether it meets another backend than before.
type visitor struct {
	jar  *cookiejar.Jar
	last string // who answered it
}

// visitors are a script's, by name. Safe for concurrent use.
type visitors struct {
	mu     sync.Mutex
	byName map[string]*visitor
	moves  tally // from one backend to another
}

// exchange sends a request through the gateway, or where it says, with the cookies
// of its visitor.
func (s *scene) exchange(r request) (answer, error) {
	address := r.address
	if address == "" {
		address = s.gateway.proxy
	}
	if r.visitor == "" {
		return r.client(address, r)
	}
	v := s.visitors.get(r.visitor)
	location := r.url(address)
	for _, c := range v.jar.Cookies(location) {
		r.headers = append(r.headers[:len(r.headers):len(r.headers)], "Cookie: "+c.String())
	}
	a, err := r.client(address, r)
	if err == nil {
		v.jar.SetCookies(location, (&http.Response{Header: a.header}).Cookies())
		s.visitors.record(v, a.backend())
	}
	return a, err
}

// url is what a browser takes a request to be for.
func (r request) url(address string) *url.URL {
	u := &url.URL{Scheme: "http", Host: address, Path: r.target}
	if r.tls {
		u.Scheme = "https"
	}
	for _, line := range r.headers {
		if name, value, _ := strings.Cut(line, ":"); strings.EqualFold(name, "Host") {
			u.Host = strings.TrimSpace(value)
		}
	}
	return u
}

func (v *visitors) get(name string) *visitor {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.byName == nil {
		v.byName, v.moves = map[string]*visitor{}, tally{}
	}
	if v.byName[name] == nil {
		jar, _ := cookiejar.New(nil) // never fails
		v.byName[name] = &visitor{jar: jar}
	}
	return v.byName[name]
}

// record counts a move where a visitor has met another backend than the time before.
func (v *visitors) record(one *visitor, backend string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if one.last != "" && one.last != backend {
		v.moves[one.last+">"+backend]++
	}
	one.last = backend
}

// cmdMoved expects that so many visitors have met another backend than the time
// before, since the last moved, and no others.
func (s *scene) cmdMoved(args []string) error {
	want := tally{}
	for _, arg := range args {
		move, text, _ := strings.Cut(arg, "=")
		count, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%w\nusage: moved [from>to=number]...", err)
		}
		want[move] = count
	}
	s.visitors.mu.Lock()
	defer s.visitors.mu.Unlock()
	got := s.visitors.moves
	s.visitors.moves = tally{}
	if len(want)+len(got) > 0 && !maps.Equal(got, want) {
		return fmt.Errorf("moved: %v, not %v", got, want)
	}
	return nil
}
