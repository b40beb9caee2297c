// Package split is the core of the plugin: given the weighted backends of one route, the
// choices so far and the facts of one request, it decides which backend gets the request.
//
// It reads no clock and no global source of random numbers, does no I/O, starts no
// goroutine and logs nothing. What a decision depends on is in [Facts] and in the split's
// [State]: the same facts and state give the same [Decision].
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

// A Split is the weighted backends of one route with everything that decides between
// them. It must not be changed once it is in use, and may be shared.
type Split struct {
	Backends      []Backend // at most MaxBackends, names unique
	Algorithm     Algorithm
	OnUnavailable OnUnavailable
	Fallback      int    // index in Backends; ignored unless OnUnavailable is ToFallback
	Revision      string // short hash of the content
	Identity      string // what sessions are bound to: the same for all revisions of a split, and on every node

	ForceHeader string   // a header whose value names the backend; empty: none
	Rules       []Rule   // the first that matches counts
	Session     *Session // nil: clients are not pinned
	HashOn      []Key    // hash_on, then hash_fallback; empty: by weight alone
	Ramp        *Ramp    // nil: the weights are constant
	Mirrors     []Mirror // at most MaxMirrors
	MaxEjected  *int     // how much of the weights health checks may put out at once, in hundredths of a percent; nil: all
	Retry       *Retry   // nil: no request is tried on another backend
}

// index returns the index of the backend of that name, or -1.
func (s *Split) index(name string) int {
	for i := range s.Backends {
		if s.Backends[i].Name == name {
			return i
		}
	}
	return -1
}

// A Backend is one destination. How Kong reaches it is up to the caller.
type Backend struct {
	Name   string
	Weight int // 0..MaxWeight; a share relative to the sum; 0 takes no new traffic
	// Destination is where it is. An ejection ends when it changes.
	Destination string

	Passive   *Passive      // nil: it has no passive health checks
	SlowStart time.Duration // in which its share grows to its own after it was unhealthy; 0: it has it at once
	// RedirectsTo is where it leads, if it answers with a redirect: then no request that has
	// failed elsewhere is tried on it. Empty: it does not.
	RedirectsTo string
}

// Passive ejects a backend whose requests fail.
type Passive struct {
	Failures int           // in a row
	Ejection time.Duration // how long it is ejected
}

// A Rule decides about the requests that it matches.
type Rule struct {
	Match   Match // all of its parts have to hold
	Not     Match // none of its parts may
	Backend int   // index in Backends; ignored if there are Weights
	Weights []int // one for each backend, instead of the split's; nil: Backend decides
}

// A Match is parts of a request to look for. An empty part is ignored.
type Match struct {
	Headers, Cookies, QueryArgs []Pattern
	Methods                     []string
	PathPrefix                  string
	Consumers                   []string // username, custom_id or id
	ClientIPs                   []netip.Prefix
}

// A Pattern holds if the value of that name is one of Exact or matches one of Regexps.
// Without such a value it does not hold.
type Pattern struct {
	Name    string
	Exact   []string
	Regexps []*regexp.Regexp
}

// A Key is the part of a request that is hashed, in Kong's words.
type Key struct {
	On   KeyKind
	Name string // of the header, the cookie, the query argument or the capture
}

// KeyKind is a part of a request.
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
	Cookie      string        // its name
	MaxAge      time.Duration // 0: until the browser closes
	Renew       bool          // MaxAge counts from the last visit, to within half of it; only where it is above 0
	Path        string
	Domain      string
	Secure      Secure
	HTTPOnly    bool
	SameSite    string   // Lax, Strict or None
	Partitioned bool     // one for each site that embeds this one
	Secrets     [][]byte // the first one signs, all of them verify
	Generation  int      // sessions of another generation are ignored
}

// Secure is when a session's cookie is for https alone.
type Secure string

// The values of Secure.
const (
	SecureAuto   Secure = "auto" // when the client came by https
	SecureAlways Secure = "always"
	SecureNever  Secure = "never"
)

// A Ramp changes the share of one backend by the clock; the others keep their
// ratio in the rest. Shares are in hundredths of a percent, 0..10000.
type Ramp struct {
	Backend  int
	From, To int
	Start    time.Time
	Duration time.Duration
	Steps    int        // 0: continuous
	Plan     []PlanStep // in the place of To, Duration and Steps; at most MaxPlan; empty: these
	Hold     *int       // the share, whatever the clock says; nil: the clock decides
	Guard    *Guard     // nil: it is never rolled back
}

// MaxPlan is how many steps a plan can have.
const MaxPlan = 100

// A PlanStep is a share for a while.
type PlanStep struct {
	Share int
	For   time.Duration // 0: no step follows
}

// A Guard rolls a ramp back when too many of its backend's requests fail or take too
// long. A limit that is 0 is none.
type Guard struct {
	RollbackTo     int           // the share after a rollback, unless it is less already
	MaxErrorRatio  int           // in hundredths of a percent; a ratio above it is too high
	MaxErrorExcess int           // likewise, over the ratio of all other backends together
	MaxLatency     time.Duration // of Quantile of the requests; at most [MaxLatency]
	Quantile       int           // in hundredths of a percent
	MinRequests    int           // in the window, of each side that is judged, before it can roll back
	Window         time.Duration
	Wait           bool // no step begins before the one before it was judged; only where there are steps
}

// MaxLatency is the highest limit of a latency.
const MaxLatency = time.Hour

// Algorithm is how choices follow the weights.
type Algorithm string

const (
	// Smooth keeps every backend within one choice of its share, at every moment.
	Smooth Algorithm = "smooth"
	// Random makes each choice on its own, with the weights as probabilities.
	Random Algorithm = "random"
)

// OnUnavailable is what happens to the share of a backend that cannot be used.
type OnUnavailable string

const (
	// Fail answers the requests of that share with an error.
	Fail OnUnavailable = "fail"
	// Redistribute divides it among the other backends by their weights.
	Redistribute OnUnavailable = "redistribute"
	// ToFallback gives all of it to one backend, which may have weight 0.
	ToFallback OnUnavailable = "fallback"
)

// Reason is what decided.
type Reason string

const (
	// ByForce: the client named the backend in the force header.
	ByForce Reason = "force"
	// BySession: the client's cookie names it.
	BySession Reason = "session"
	// ByRule: a rule that the request matches names it.
	ByRule Reason = "rule"
	// ByHash: the hash of the client's key decided.
	ByHash Reason = "hash"
	// ByWeight: the backend's turn among the weights, redistributed shares included.
	ByWeight Reason = "weight"
	// ByFallback: it takes the place of a backend that could not be used.
	ByFallback Reason = "fallback"
	// ByRetry: the request has failed on another backend. No decision has it, as it comes
	// after one.
	ByRetry Reason = "retry"
)

// Reasons are all of them. It must not be changed.
var Reasons = [...]Reason{ByForce, BySession, ByRule, ByHash, ByWeight, ByFallback, ByRetry}

// Facts are what a decision may depend on apart from the split and its state.
// [Split.Needs] returns which of them a split reads; the others need not be set.
type Facts struct {
	// More sets the facts that only some decisions need (see [Split.Needs]). A decision
	// calls it at most once, and returns its error. Nil: they are set already.
	More func(*Facts) error

	Now       time.Time
	Random    uint64 // uniformly distributed bits; only algorithm random reads them
	Down      Set    // backends that do not exist
	Unhealthy Set    // backends that their probes have found unhealthy
	// Changed returns when the probes of a backend found it to be as it is; zero: it has been
	// so from the start, or is not probed. Only splits with slow starts or MaxEjected call
	// it. Nil: none is probed.
	Changed func(backend int) time.Time

	Method   string
	Path     string // Kong's normalised one
	Query    string // as the client sent it, without the ?
	Cookies  string // the Cookie header
	Headers  []Header
	Captures []Header   // of the route's path, by name
	IP       netip.Addr // the forwarded one, as far as it is trusted
	Consumer Consumer
	// Credential is the id of the credential that the request was authenticated by; empty:
	// there is none. Only [Split.NeedsCredential] says whether it is needed.
	Credential string
	HTTPS      bool // the client came by https
}

// A Header is a header, or a capture, with its first value.
type Header struct{ Name, Value string }

// Consumer is the Kong consumer of the request; empty: there is none.
type Consumer struct{ ID, CustomID, Username string }

// Needs are the facts that a split reads.
type Needs struct {
	Headers                                                     []string
	Preflight                                                   bool // PreflightHeader, and if the request has it, OriginHeader and the method
	Credential                                                  bool // where [Split.NeedsCredential] holds of the other facts
	Method, Path, Query, Cookies, Captures, IP, Consumer, HTTPS bool
}

// A Decision is the backend that takes a request, and why.
type Decision struct {
	Backend    int // index in the split's Backends
	Reason     Reason
	Revision   string  // the split's
	SetCookie  string  // the value of a Set-Cookie header that pins the client; empty: set none
	RolledBack bool    // the guard has rolled the ramp back
	Subject    Subject // of the request's [Outcome]
	Kept       Set     // backends that health checks would put out, but for MaxEjected
	Copies     Set     // the mirrors that get a copy; only [Choose] has them

	pins     bool   // it begins a session, also if another backend takes its place
	others   bool   // it takes turns of [turns].others
	replaced int    // the backend in whose place the fallback is
	stage    *stage // by which it took a turn; nil: it took none
	weights  *stage // those that counted, with all backends
	unusable Set    // backends that could not be used
}

// A Set is a set of backends, one bit for each index.
type Set uint64

// Has reports whether the set has backend i.
func (s Set) Has(i int) bool { return s>>i&1 == 1 }

// With returns the set with backend i added.
func (s Set) With(i int) Set { return s | 1<<i }

// at returns the set of those i for which s has indexes[i].
func (s Set) at(indexes []int) (out Set) {
	for i, j := range indexes {
		if j >= 0 && s.Has(j) {
			out = out.With(i)
		}
	}
	return out
}

// first returns the lowest index in the set, which must not be empty.
func (s Set) first() int { return bits.TrailingZeros64(uint64(s)) }
