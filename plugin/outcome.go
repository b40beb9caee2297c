package plugin

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"kong-traffic-split/plugin/split"
)

// markKey is where the access phase leaves a mark for the log phase: the split's name
// in the split files, what the outcome says something about, and the name of the
// backend that it has chosen, with slashes between them. Behind the second are a dot and the
// number of the [comparison], where there is one.
const markKey = "traffic_split"

// waitingTime is how long Kong has waited for the backend to begin its answer, in
// milliseconds, on the last try.
const waitingTime = "KONG_WAITING_TIME"

// What the log phase asks for. Kong tells the status of gRPC where it is a header, as in an
// answer without a message. It does not tell trailers: the log phase runs when the request
// is over, and nginx's variables are not to be had there.
var (
	outcomeReads = []call{
		textCall("kong.ctx.shared.get", markKey),
		{Method: "kong.response.get_source"},
		{Method: "kong.response.get_status"},
		textCall("kong.nginx.get_ctx", waitingTime),
	}
	getStatus = textCall("kong.response.get_header", "grpc-status")
)

// isJudged reports whether a guard or passive health checks need the outcomes of a split's
// requests.
func isJudged(s *split.Split) bool {
	return s.Ramp != nil && s.Ramp.Guard != nil ||
		slices.ContainsFunc(s.Backends, func(b split.Backend) bool { return b.Passive != nil })
}

// observes reports whether the outcomes of the row's requests matter. Of a TCP or TLS
// connection Kong tells none, and raises an error where it is asked.
func (i *Instance) observes() bool {
	s := i.serving.Load()
	switch {
	case i.streams.Load(), s == nil, s.err != nil:
		return false
	case s.live != nil:
		return s.live.observed
	}
	return i.plugin.file.current.Load().observed
}

// outcomeReads lists what the log phase asks for. Only on a gRPC Service it asks for the
// status of gRPC, by itself where it does not know the Service yet.
func (i *Instance) outcomeReads(now time.Time) []call {
	if !i.observes() {
		return nil
	}
	reads := outcomeReads
	if i.hasCompanion() {
		reads = append(reads[:len(reads):len(reads)], getTried)
	}
	if service, known := i.service.known(now); !known {
		return append(reads[:len(reads):len(reads)], getService)
	} else if service.IsGRPC() {
		return append(reads[:len(reads):len(reads)], getStatus)
	}
	return reads
}

// setMark returns the call that leaves a decision of l for the log phase. It is the same
// for all decisions for a backend until that is ejected.
func (l *live) setMark(d split.Decision) call {
	last := l.marks[d.Backend].Load()
	if last == nil || last.key != d.Subject {
		text := markText(l.entry, d.Subject, 0, l.backends[d.Backend].Name)
		last = &keyedCall[split.Subject]{d.Subject, pairCall("kong.ctx.shared.set", markKey, text)}
		l.marks[d.Backend].Store(last)
	}
	return last.call
}

func markText(entry string, subject split.Subject, copied uint64, backend string) string {
	number := ""
	if copied != 0 {
		number = "." + strconv.FormatUint(copied, 16)
	}
	return fmt.Sprintf("%s/%08x%08x%s/%s", entry, subject.Backend, subject.Ramp, number, backend)
}

// parseMark takes a mark apart. ok is false where it is none, or of a version before.
func parseMark(text string) (entry, backend string, subject split.Subject, copied uint64, ok bool) {
	entry, rest, _ := strings.Cut(text, "/")
	rest, backend, ok = strings.Cut(rest, "/")
	hashes, number, _ := strings.Cut(rest, ".")
	if len(hashes) != 16 {
		return "", "", subject, 0, false
	}
	both, err := strconv.ParseUint(hashes, 16, 64)
	copied, _ = strconv.ParseUint(number, 16, 64) // of none it is 0
	return entry, backend, split.Subject{Backend: uint32(both >> 32), Ramp: uint32(both)}, copied, ok && err == nil
}

// observe tells the split what has become of a request that it has decided.
func (r *request) observe() error {
	if !r.observes() {
		return nil
	}
	service, err := r.askService()
	if err != nil {
		return err
	}
	v, err := r.kong.Ctx.GetSharedAny(markKey)
	if err != nil {
		return err
	}
	mark, _ := v.(string)
	l, i, subject, copied := r.decided(mark)
	if l == nil {
		return nil
	}
	if l.tally.silence.reported() {
		r.plugin.Log.Info("Kong tells outcomes of requests again", "split", l.split.Identity)
	}
	if i < 0 {
		return nil
	}
	what, latency, err := r.outcome(service.IsGRPC())
	if err != nil {
		return err
	}
	if c := r.plugin.comparisons.take(copied); c != nil && what != nothing {
		c.observed(what)
	}
	if l.tally.companion != nil {
		if i, subject, err = r.observeTries(l, i, subject, what); err != nil || i < 0 {
			return err
		}
	}
	if what == nothing {
		return nil
	}
	return r.judge(l, i, subject, what, latency)
}

// judge counts what has become of a request at a backend, and does what follows from it.
func (r *request) judge(l *live, backend int, subject split.Subject, what class, latency time.Duration) error {
	unhealthy := l.watches.unhealthy()
	events := l.state.Observe(split.Outcome{
		Backend: backend, Subject: subject, Failed: what.failed(), Latency: latency, Unusable: unhealthy | l.state.Missing(),
		Unhealthy: unhealthy, Changed: l.changed,
	}, r.now)
	l.tally.observed(backend, what, latency) // whoever sees the count sees what follows from it
	return r.report(l, events)
}

// decided finds the split that has decided a request, the backend that it has chosen,
// what the outcome says something about, and the number of the comparison, 0 for none. The
// split is nil where none is known that has; the backend is -1 where there is none, or it is
// there no more.
//
// What a row's own split leaves no mark for is of the backend that is the route's own
// Service: Kong has the log phase handled by the row's config of the access phase. (But
// while that is wrong, another last good one may have come meanwhile; then the outcome of
// a request to a host that nobody watched may count as the Service's.) Or it was not
// decided at all, as a plugin in front has answered: then the outcome does not count.
func (r *request) decided(mark string) (l *live, backend int, subject split.Subject, copied uint64) {
	l = r.serving.Load().live
	if l != nil && mark == "" {
		if l.service >= 0 {
			subject = l.state.Subject(l.service)
		}
		return l, l.service, subject, 0
	}
	name, chosen, subject, copied, ok := parseMark(mark)
	switch {
	case !ok:
		return nil, -1, subject, 0
	case l == nil:
		l = r.plugin.file.current.Load().get(name)
	}
	return l, l.index(chosen), subject, copied
}

// outcome returns what has become of a request, and its latency; -1: that is not known. It
// is nothing where it says nothing about the backend: only where Kong has an answer, or has
// tried to have one and failed, it does. Other plugins answer with the same statuses.
func (r *request) outcome(grpc bool) (what class, latency time.Duration, err error) {
	source, err := r.kong.Response.GetSource()
	if err != nil {
		return nothing, -1, err
	}
	status, err := r.kong.Response.GetStatus()
	if err != nil {
		return nothing, -1, err
	}
	if source == "service" {
		return r.answered(status, grpc)
	}
	if status < 500 {
		return nothing, -1, nil
	}
	proxied, err := r.isInContext("KONG_PROXIED") // set when the access phase has ended well
	if err != nil {
		return nothing, -1, err
	}
	failed := false
	switch {
	case source == "error" && proxied:
		failed = status == 502 || status == 504
	case source == "exit" && !proxied: // else a plugin has ended a request that has an answer
		failed, err = r.isInContext("KONG_UPSTREAM_DNS_START") // when Kong began to look for an address, and found none
	}
	if !failed {
		return nothing, -1, err
	}
	return noAnswer, -1, nil
}

// answered returns the outcome of a request that the backend has answered.
func (r *request) answered(status int, grpc bool) (what class, latency time.Duration, err error) {
	const clientGone = 499
	if status == clientGone {
		return nothing, -1, nil
	}
	what = classOf(status)
	if grpc && !what.failed() {
		if what, err = r.grpcOutcome(what); what == nothing || err != nil {
			return nothing, -1, err
		}
	}
	v, err := r.kong.Nginx.GetCtxAny(waitingTime)
	if err != nil {
		return nothing, -1, fmt.Errorf("asking Kong for %s: %w", waitingTime, err)
	}
	if ms, ok := v.(float64); ok {
		return what, time.Duration(max(ms, 0) * float64(time.Millisecond)), nil
	}
	return what, -1, nil
}

// grpcOutcome returns what the status of gRPC makes of an answer: the backend has failed
// where it stands for a 5xx in HTTP. What the client has cancelled does not count.
func (r *request) grpcOutcome(answer class) (class, error) {
	status, err := r.askText(getStatus)
	switch status {
	case "1": // CANCELLED
		return nothing, err
	case "2", "4", "12", "13", "14", "15": // UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS
		return grpcError, err
	}
	return answer, err
}

// isInContext reports whether the request's context in Kong has a value of that name
// that is true or a number.
func (r *request) isInContext(key string) (bool, error) {
	v, err := r.kong.Nginx.GetCtxAny(key)
	if err != nil {
		return false, fmt.Errorf("asking Kong for %s: %w", key, err)
	}
	_, isNumber := v.(float64)
	return isNumber || v == true, nil
}

// report logs what an outcome has led to, once, and saves it for the next process.
func (r *request) report(l *live, events []split.Incident) error {
	if len(events) == 0 {
		return nil
	}
	r.plugin.saveState(l)
	for _, e := range events {
		if e.Kind == split.StepBegun {
			r.logStep(l, e)
			continue
		}
		if e.Kind == split.Ejected {
			l.tally.backends[l.index(e.Backend)].ejections.Add(1)
		}
		r.plugin.Log.Warn(e.String(), "split", l.split.Identity)
		if err := r.kong.Log.Warn(fmt.Sprintf("[%s] split %q: %s", Name, l.split.Identity, e)); err != nil {
			return err
		}
	}
	return nil
}

// logStep logs that a step of a ramp has begun. It is no news for Kong's log.
func (r *request) logStep(l *live, e split.Incident) {
	r.plugin.Log.Info("the next step of a ramp has begun", "split", l.split.Identity, "backend", e.Backend,
		"step", fmt.Sprintf("%d of %d", e.Step, e.Steps), "share", fmt.Sprintf("%s->%s", split.Percent(e.From), split.Percent(e.To)), "behind", e.Behind)
}
