package plugin

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/split"
)

// A request that fails on one backend is tried on another by a function in Kong, the
// companion: a row of post-function, which runs after the plugin in the same phase. What it
// is to try the plugin leaves for it under offerKey, and what it is to do with the answer's
// headers under answerKey. It leaves under triedKey what it has done: its version, and behind
// that the names of the backends that were tried after the first.
const (
	offerKey  = "traffic_split_retry"
	answerKey = "traffic_split_answer"
	triedKey  = "traffic_split_tried"
)

// tellCompanion is the call that leaves a value, an encoded Value, for the companion.
func tellCompanion(key string, value []byte) call {
	return call{"kong.ctx.shared.set", appendField(appendField(nil, kvKey, key), kvValue, value)}
}

// replacement are headers to set and to remove, as entries of a Struct.
func replacement(set map[string]string, remove []string) []byte {
	var values, names []byte
	for _, name := range slices.Sorted(maps.Keys(set)) {
		values = append(values, structEntry(name, appendField(nil, valueString, set[name]))...)
	}
	for _, name := range remove {
		names = appendField(names, listValues, appendField(nil, valueString, name))
	}
	return append(structEntry("set", appendField(nil, valueStruct, values)), structEntry("remove", appendField(nil, valueList, names))...)
}

// CompanionVersion is the version of the companion that leaves what is read here.
const CompanionVersion = "1"

var getTried = textCall("kong.ctx.shared.get", triedKey)

// timeoutFields are Kong's timeouts in balancer_data, in milliseconds.
var timeoutFields = [...]struct {
	name string
	of   func(*config.Timeouts) float64
}{
	{"connect_timeout", func(t *config.Timeouts) float64 { return t.Connect }},
	{"send_timeout", func(t *config.Timeouts) float64 { return t.Write }},
	{"read_timeout", func(t *config.Timeouts) float64 { return t.Read }},
}

// another is a backend as the companion is told of it. Safe for concurrent use.
type another struct {
	entries []byte // of a Struct, but for the timeouts
	last    atomic.Pointer[lastAnother]
}

// lastAnother is what the companion was last told, and what was in balancer_data then.
type lastAnother struct {
	read    string
	element []byte // a Value
}

func (a *another) prepare(c *config.Config, b *config.Backend, target string) {
	put := func(name string, value []byte) { a.entries = append(a.entries, structEntry(name, value)...) }
	putText := func(name, text string) { put(name, appendField(nil, valueString, text)) }
	putText("name", b.Name)
	putText("host", target)
	put("port", numberValue(float64(b.Port)))
	if c.RetryChangesHeaders() {
		a.entries = append(a.entries, replacement(b.RequestHeaders.Set, b.RequestHeaders.Remove)...)
	}
	if b.ResponseHeaders.Replaces() {
		put("answer", appendField(nil, valueStruct, replacement(b.ResponseHeaders.Set, b.ResponseHeaders.Remove)))
	}
	if c.ResponseHeader != "" {
		putText("response_header", c.ResponseHeader)
	}
	if c.LogDecision {
		put("logged", protowire.AppendVarint(protowire.AppendTag(nil, valueBool, protowire.VarintType), 1))
	}
}

// tell returns the backend as the companion is told of it, where that is in balancer_data:
// timeouts that it has not are the Service's.
func (a *another) tell(timeouts *config.Timeouts, read []byte) []byte {
	if last := a.last.Load(); last != nil && last.read == string(read) {
		return last.element
	}
	entries := slices.Clone(a.entries)
	for _, f := range timeoutFields {
		value := fieldOf(read, f.name)
		if seconds := f.of(timeouts); seconds > 0 {
			value = milliseconds(seconds)
		}
		entries = append(entries, structEntry(f.name, value)...)
	}
	last := &lastAnother{string(read), appendField(nil, valueStruct, entries)}
	a.last.Store(last)
	return last.element
}

// offer tells the companion which backends to try if the one of d fails.
func (r *request) offer(l *live, f *split.Facts, d *split.Decision) error {
	if l.split.Retry == nil {
		return nil
	}
	s, err := r.askService()
	if err != nil {
		return err
	}
	var rt route
	if l.changesHeaders {
		if rt, err = r.askRoute(); err != nil {
			return err
		}
	}
	if wrong := l.config.RefuseRetry(&s.Service, rt.preserveHost); wrong != nil {
		return misconfigured("%w", wrong)
	}
	read, err := r.askBalancer()
	if err != nil {
		return err
	}
	var list []byte
	failed, tried := d.Backend, split.Set(0)
	for range l.split.Retry.Max {
		tried = tried.With(failed)
		if failed = split.Another(l.split, l.state, f, d, failed, tried); failed < 0 {
			break
		}
		b := &l.backends[failed]
		list = appendField(list, listValues, b.another.tell(&b.Timeouts, read))
	}
	return r.tell(tellCompanion(offerKey, appendField(nil, valueList, list)))
}

// hasCompanion reports whether requests of the row may be of a split that takes the companion.
func (i *Instance) hasCompanion() bool {
	s := i.serving.Load()
	if s.live != nil {
		return s.live.tally.companion != nil
	}
	return i.plugin.file.current.Load().companion
}

// observeTries tells the split which backends have failed before the one that a request came
// to in the end, and returns that; -1: it is there no more.
func (r *request) observeTries(l *live, first int, subject split.Subject, what class) (last int, _ split.Subject, err error) {
	v, err := r.kong.Ctx.GetSharedAny(triedKey)
	if err != nil {
		return -1, subject, err
	}
	text, _ := v.(string)
	version, names, _ := strings.Cut(text, " ")
	// Where the plugin has left nothing for it, the companion leaves nothing either.
	if what != nothing && (l.split.Retry != nil || l.backends[first].ResponseHeaders.Replaces()) {
		if status, changed := l.tally.companion.seen(statusOf(version), r.now); changed {
			r.logCompanion(l, status, version)
		}
	}
	for name := range strings.FieldsSeq(names) {
		if err := r.judge(l, first, subject, noAnswer, -1); err != nil {
			return -1, subject, err
		}
		if first = l.index(name); first < 0 {
			return -1, subject, nil
		}
		subject = l.state.Subject(first)
		l.tally.chose(split.Decision{Backend: first, Reason: split.ByRetry})
	}
	return first, subject, nil
}

// logCompanion logs what a request has shown of the companion.
func (r *request) logCompanion(l *live, status Companion, version string) {
	switch status {
	case CompanionRuns:
		r.plugin.Log.Info("Kong runs the companion row, so that retries and changes of responses take effect", "split", l.split.Identity)
	case CompanionMissing:
		r.plugin.Log.Error("Kong has no companion row of post-function on this route, so that no request is tried on another backend, and no response header is set or removed: splitctl companion writes it", "split", l.split.Identity)
	case CompanionOther:
		r.plugin.Log.Error("the companion row of post-function on this route is that of another version of the plugin: splitctl companion writes this one's", "split", l.split.Identity, "version", version, "wanted", CompanionVersion)
	}
}

// A Companion is what is known of the row of post-function that a split takes.
type Companion string

// The values of Companion.
const (
	CompanionUnknown Companion = "unknown" // no request has shown it, as when the server was started without -outcomes
	CompanionRuns    Companion = "runs"
	CompanionMissing Companion = "missing"
	CompanionOther   Companion = "other" // that of another version of the plugin
)

func statusOf(version string) Companion {
	switch version {
	case "":
		return CompanionMissing
	case CompanionVersion:
		return CompanionRuns
	}
	return CompanionOther
}

// sighting is what requests have shown of the companion since Kong has its configuration.
// Several routes may use a split, and one of them lack it: that it is missing holds for a
// while after the last request that has shown so. Safe for concurrent use.
type sighting struct {
	mu      sync.Mutex
	last    Companion // that of the latest request; empty: there was none
	wrong   Companion // that of the latest one that was not right; empty: there was none
	wrongAt time.Time
	logged  Companion
}

// lackLasts is how long it is said that the companion is missing after the last request that
// has shown so.
const lackLasts = time.Minute

// seen records what a request has shown, and returns the status where it has changed.
func (s *sighting) seen(what Companion, now time.Time) (changed Companion, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last = what; what != CompanionRuns {
		s.wrong, s.wrongAt = what, now
	}
	status := s.statusAt(now)
	if status == s.logged {
		return status, false
	}
	s.logged = status
	return status, true
}

// forget begins anew, as Kong has another configuration.
func (s *sighting) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last, s.wrong = "", ""
}

func (s *sighting) status(now time.Time) Companion {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.statusAt(now)
}

// statusAt is the status. The caller holds mu.
func (s *sighting) statusAt(now time.Time) Companion {
	switch {
	case s.last == "":
		return CompanionUnknown
	case s.wrong != "" && now.Sub(s.wrongAt) < lackLasts:
		return s.wrong
	}
	return s.last
}
