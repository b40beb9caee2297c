package plugin

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"google.golang.org/protobuf/encoding/protowire"

	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/split"
)

// A request that fails on one backend is tried on another by a function in Kong, the
// companion: a row of post-function, which runs after the plugin in the same phase. What it
// is to try the plugin leaves for it under offerKey, and what it is to do with the answer's
// headers under answerKey. It leaves under triedKey what it has done: its version, and behind
// that, for each try after the first, the status with which the one before it has failed, a
// slash, and the name of the backend that was tried.
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
	if l.split.Retry == nil || l.backends[d.Backend].Redirect != nil {
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

// observeTries tells the split which backends have failed before the one that a request came
// to in the end, and returns that; -1: it is there no more.
func (r *request) observeTries(l *live, first int, subject split.Subject, what class) (last int, _ split.Subject, err error) {
	v, err := r.kong.Ctx.GetSharedAny(triedKey)
	if err != nil {
		return -1, subject, err
	}
	text, _ := v.(string)
	version, tries, _ := strings.Cut(text, " ")
	// Where the plugin has left nothing for it, the companion leaves nothing either.
	if what != nothing && (l.split.Retry != nil || l.backends[first].ResponseHeaders.Replaces()) {
		if status, changed := l.tally.companion.seen(statusOf(version), r.now); changed {
			r.logCompanion(l, status, version)
		}
	}
	for try := range strings.FieldsSeq(tries) {
		status, name, _ := strings.Cut(try, "/")
		if err := r.judge(l, first, subject, failedWith(status), -1); err != nil {
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

// failedWith returns what has become of a request at a backend after which it was tried on
// another, by the status that nginx has of it: of an answer, where kong.conf says that it is to
// be tried again, such as 404, or 502 and 504 where there was none.
func failedWith(status string) class {
	code, err := strconv.Atoi(status)
	if err != nil || code == 502 || code == 504 {
		return noAnswer
	}
	return classOf(code)
}
