package doctor

import (
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"kong-traffic-split/plugin/rollout"
)

// Share is what a backend got of requests that were sent, and what it was due.
type Share struct {
	Backend  string  `json:"backend"`
	Requests int     `json:"requests"`
	Due      float64 `json:"due"`
}

func checkSent(f *facts, found report) {
	s := f.sent
	if s.err != nil {
		found(Error, "look at what follows, then send them again", "only %d of %d requests were sent: %v", s.requests, f.Send.Requests, s.err)
	}
	for _, kind := range slices.Sorted(maps.Keys(s.answers)) {
		fix := "Kong's error log and the server's log say why"
		switch {
		case kind == "404":
			fix = "--path and --host have to be those of a route; docs/operate.md has what else may be wrong"
		case kind == "no answer":
			fix = "look that Kong's proxy_listen has the address of --proxy"
		}
		found(Error, fix, "%d of %d requests got %s: %s", s.answers[kind], s.requests, kind, s.example[kind])
	}
	failed := 0
	for _, n := range s.answers {
		failed += n
	}
	if failed == s.requests {
		return // that comes first
	}
	if f.Send.Header != "" && len(s.named) == 0 {
		found(Error, "name the split's response_header, or set one", "no answer has the header %s", f.Send.Header)
	}
	if len(s.after) > 0 {
		f.checkCounted(found)
	} else if len(s.named) > 0 {
		f.checkNamed(found)
	} else {
		found(Warning, "give --status, or have the split name the backend in a response_header", "which backend got the requests is not known")
	}
}

// checkCounted compares what the servers have counted with the shares, and with what the
// answers say.
func (f *facts) checkCounted(found report) {
	d, err := f.Send.chosen(deltas(f.sent.before, f.sent.after), f.sent.requests)
	if err != nil {
		found(Error, "give --split, --path and --host, and the --status of this Kong's server", "the shares cannot be compared: %v", err)
		return
	}
	if n := d.unavailable; n > 0 {
		found(Error, "look at the backends: splitctl status", "%d requests of the split %s could be taken by no backend", n, d.split.Split)
	}
	weighed := 0
	for _, n := range d.byWeight {
		weighed += n
	}
	switch {
	case d.changed:
		found(Warning, "send them again", "the shares of the split %s have changed meanwhile, so that they are not compared", d.split.Split)
	case len(d.unableBackends) > 0:
		found(Warning, "mend that first", "%s of the split %s cannot be used, so that the shares are not compared", strings.Join(d.unableBackends, ", "), d.split.Split)
	case weighed == 0 && d.total > 0:
		found(Warning, "send what is decided by weight: without a session's cookie, and with other keys each time where there is hash_on; splitctl explain says what decides", "none of the requests of the split %s was decided by weight", d.split.Split)
	default:
		for _, b := range d.split.Backends {
			due := float64(weighed) * b.Share
			f.sent.shares = append(f.sent.shares, Share{b.Name, d.byWeight[b.Name], due})
			allowed := bound(d.split.Drift != nil, weighed, b.Share) * float64(d.servers)
			if off := math.Abs(float64(d.byWeight[b.Name]) - due); off >= allowed {
				found(Error, "report it with the output of splitctl status and the config of the split", "%s got %d of %d requests of the split %s, and is due %.2f: that is off by more than the %.0f that its algorithm allows", b.Name, d.byWeight[b.Name], weighed, d.split.Split, due, allowed)
			}
		}
	}
	if len(f.sent.named) == 0 || d.total != f.sent.requests {
		return // others' requests are among them
	}
	for _, b := range d.split.Backends {
		if named := f.sent.named[b.Name]; named != d.all[b.Name] {
			found(Error, "look which plugin changes the header behind ours, and whether Kong tries another backend again", "%d answers name %s in %s, which was chosen for %d requests", named, b.Name, f.sent.header, d.all[b.Name])
		}
	}
}

// checkNamed compares what answers say with the shares of the row's config, if there is one.
func (f *facts) checkNamed(found report) {
	var of *row
	if f.kong != nil {
		for i, r := range f.kong.rows {
			if r.config == nil || f.Send.Split != "" && f.Send.Split != r.InstanceName && f.Send.Split != r.ID {
				continue
			}
			if of != nil {
				found(Warning, "say which one is meant by --split", "Kong has several rows, so that the shares are not compared")
				return
			}
			of = &f.kong.rows[i]
		}
	}
	if of == nil || len(of.config.Backends) == 0 {
		found(Warning, "give --status, or --admin where the split is in a row of Kong's", "what the backends are due is not known, so that the shares are not compared")
		return
	}
	total := 0
	for _, n := range f.sent.named {
		total += n
	}
	for _, share := range rollout.Shares(of.config, time.Now()) {
		due := float64(total) * share.Percent / 100
		f.sent.shares = append(f.sent.shares, Share{share.Backend, f.sent.named[share.Backend], due})
		allowed := bound(of.config.Algorithm != "random", total, share.Percent/100)
		if off := math.Abs(float64(f.sent.named[share.Backend]) - due); off >= allowed {
			found(Error, "look whether sessions, rules, hash_on or requests of others have decided: splitctl explain; --status counts these apart", "%s answered %d of %d requests, and is due %.2f", share.Backend, f.sent.named[share.Backend], total, due)
		}
	}
}

// bound is how far a count of so many requests may be off. Smooth ones are less than one off
// after each request, so less than two between any two of them; random ones are further off
// than five times the standard deviation less than once in a million times.
func bound(smooth bool, requests int, share float64) float64 {
	if smooth {
		return 2
	}
	return 5*math.Sqrt(float64(requests)*share*(1-share)) + 1
}
