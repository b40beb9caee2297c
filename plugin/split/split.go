// Package split is the core of the plugin: given the weighted backends of one
// route, what they have been chosen for so far and the facts of one request, it
// decides which backend takes the request.
//
// It is pure. It reads no clock and no global source of random numbers, does no
// I/O, starts no goroutine and logs nothing: what a decision depends on comes in
// with [Facts], what a split remembers is in its [State], and the same of both
// give the same [Decision].
package split

import (
	"math/bits"
	"net/netip"
	"regexp"
	"time"
)

// MaxBackends is how many backends a split can have: a [Set] has one bit for
// each.
const MaxBackends = 64

// MaxWeight is the largest weight of a backend.
const MaxWeight = 1_000_000

// A Split is the weighted backends of one route with everything that decides
// between them. It is immutable once made and shared freely.
type Split struct {
	Backends      []Backend // at most MaxBackends, names unique
	Algorithm     Algorithm
	OnUnavailable OnUnavailable
	Fallback      int    // index in Backends; only read with ToFallback
	Revision      string // short hash of the content
	Identity      string // what sessions are bound to: the same for all revisions of a split, and on every node

	ForceHeader string   // a header whose value names the backend; empty: none
	Rules       []Rule   // the first that holds counts
	Session     *Session // nil: clients are not pinned
	HashOn      []Key    // hash_on, then hash_fallback; empty: by weight alone
	Ramp        *Ramp    // nil: the weights are constant
}

// index finds a backend by its name: -1 where there is none.
func (s *Split) index(name string) int {
	for i := range s.Backends {
		if s.Backends[i].Name == name {
			return i
		}
	}
	return -1
}

// A Backend is one destination. What Kong has to be told to reach it is the
// caller's business.
type Backend struct {
	Name   string
	Weight int // 0..MaxWeight; a share relative to the sum; 0 takes no new traffic
	// Destination says where it is: what is known of its health holds there only.
	Destination string

	Passive *Passive // nil: what becomes of its requests is not watched
}

// Passive ejects a backend whose requests fail.
type Passive struct {
	Failures int           // in a row
	Ejection time.Duration // how long it is out
}

// A Rule decides for the requests that it matches.
type Rule struct {
	Match   Match
	Backend int   // index in Backends, where Weights is nil
	Weights []int // one for each backend: take the place of the split's for what follows
}

// A Match holds where all of it holds. What is empty holds always.
type Match struct {
	Headers, Cookies, QueryArgs []Pattern
	Methods                     []string
	PathPrefix                  string
	Consumers                   []string // username, custom_id or id
	ClientIPs                   []netip.Prefix
}

// A Pattern holds where the value of that name is one of Exact or matches one of
// Regexps. It does not hold where there is none of that name.
type Pattern struct {
	Name    string
	Exact   []string
	Regexps []*regexp.Regexp
}

// A Key is what the same clients have in common, in Kong's words.
type Key struct {
	On   KeyKind
	Name string // of the header, the cookie, the query argument or the capture
}

// KeyKind is what a key is made of.
type KeyKind string

// The kinds of keys.
const (
	OnConsumer   KeyKind = "consumer"
	OnIP         KeyKind = "ip"
	OnHeader     KeyKind = "header"
	OnCookie     KeyKind = "cookie"
	OnPath       KeyKind = "path"
	OnQueryArg   KeyKind = "query_arg"
	OnURICapture KeyKind = "uri_capture"
)

// A Session pins a client to its first backend by a cookie.
type Session struct {
	Cookie     string        // its name
	MaxAge     time.Duration // 0: until the browser closes
	Path       string
	Domain     string
	Secure     Secure
	HTTPOnly   bool
	SameSite   string   // Lax, Strict or None
	Secrets    [][]byte // the first one signs, all of them verify
	Generation int      // sessions of another one are void
}

// Secure says when a session's cookie is for https alone.
type Secure string

// The values of Secure.
const (
	SecureAuto   Secure = "auto" // when the client came by https
	SecureAlways Secure = "always"
	SecureNever  Secure = "never"
)

// A Ramp changes the share of one backend by the clock; the others keep their
// ratio in the rest.
type Ramp struct {
	Backend  int
	From, To int // in hundredths of a percent, 0..10000
	Start    time.Time
	Duration time.Duration
	Steps    int    // 0: continuous
	Guard    *Guard // nil: it goes on whatever happens
}

// A Guard rolls a ramp back when too many of its backend's requests fail.
type Guard struct {
	RollbackTo    int // the share then, in hundredths of a percent, where it is not less already
	MaxErrorRatio int // in hundredths of a percent, as shares are, so that just the limit is not above it
	MinRequests   int // in the window, before it judges
	Window        time.Duration
}

// Algorithm says how choices follow the weights.
type Algorithm string

const (
	// Smooth keeps every backend within one choice of its share, at every moment.
	Smooth Algorithm = "smooth"
	// Random makes each choice on its own, with the weights as probabilities.
	Random Algorithm = "random"
)

// OnUnavailable says what happens to the share of a backend that cannot be used.
type OnUnavailable string

const (
	// Fail answers exactly that share with an error.
	Fail OnUnavailable = "fail"
	// Redistribute deals it out to the other backends by their weights.
	Redistribute OnUnavailable = "redistribute"
	// ToFallback gives all of it to one backend, which may have weight 0.
	ToFallback OnUnavailable = "fallback"
)

// Reason says what decided.
type Reason string

const (
	// ByForce: the client named the backend in the force header.
	ByForce Reason = "force"
	// BySession: the client's cookie did.
	BySession Reason = "session"
	// ByRule: a rule that the request matches did.
	ByRule Reason = "rule"
	// ByHash: the client's key did.
	ByHash Reason = "hash"
	// ByWeight: the backend's turn among the weights, redistributed shares included.
	ByWeight Reason = "weight"
	// ByFallback: the backend whose turn it was could not be used.
	ByFallback Reason = "fallback"
)

// Reasons are all of them. Nobody may change it.
var Reasons = [...]Reason{ByForce, BySession, ByRule, ByHash, ByWeight, ByFallback}

// Facts are what a decision may depend on apart from the split and its state.
// [Split.Needs] says which of them a split reads; the others need not be set.
type Facts struct {
	// More sets what a decision needs more of; it is called once, where that is so. Its
	// error ends the decision. Nil: all is there already.
	More func(*Facts) error

	Now       time.Time
	Random    uint64 // uniformly distributed bits; only algorithm random reads them
	Down      Set    // backends that do not exist
	Unhealthy Set    // backends that their probes have found unhealthy

	Method   string
	Path     string // Kong's normalised one
	Query    string // as the client sent it, without the ?
	Cookies  string // the Cookie header
	Headers  []Header
	Captures []Header   // of the route's path, by name
	IP       netip.Addr // the forwarded one, as far as it is trusted
	Consumer Consumer
	HTTPS    bool // the client came by https
}

// A Header is a name with its first value.
type Header struct{ Name, Value string }

// Consumer is whom Kong has authenticated; empty: nobody.
type Consumer struct{ ID, CustomID, Username string }

// Needs are the facts that a split reads.
type Needs struct {
	Headers                                                     []string
	Preflight                                                   bool // PreflightHeader, and where it is there OriginHeader and the method
	Method, Path, Query, Cookies, Captures, IP, Consumer, HTTPS bool
}

// A Decision is the backend that takes a request, and why.
type Decision struct {
	Backend    int // index in the split's Backends
	Reason     Reason
	Revision   string  // the split's
	SetCookie  string  // what pins the client, as the value of a Set-Cookie header; empty: nothing changes
	RolledBack bool    // the guard has rolled the ramp back
	Subject    Subject // what its outcome says something about

	pins   bool   // it is worth a session, whichever backend takes its place
	others bool   // it is of those whom something else than the weights decides about
	had    int    // where it is the fallback, whose place that has taken
	stage  *stage // by which a turn was taken; nil: none was
}

// A Set is a set of backends, one bit for each index.
type Set uint64

// Has reports whether backend i is in the set.
func (s Set) Has(i int) bool { return s>>i&1 == 1 }

// With returns the set with backend i in it too.
func (s Set) With(i int) Set { return s | 1<<i }

// first is the lowest index in the set, which is not empty.
func (s Set) first() int { return bits.TrailingZeros64(uint64(s)) }
