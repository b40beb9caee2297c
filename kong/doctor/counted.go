package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/split"
	"kong-traffic-split/plugin/status"
)

// fetch returns the reports of the servers in their order, nil for one that does not answer;
// none if there is no report at all.
func fetch(ctx context.Context, f *facts) []*status.Report {
	var all []*status.Report
	some := false
	for address := range f.others {
		r, err := status.Fetch(ctx, address)
		if err != nil {
			r = nil
		}
		all, some = append(all, r), some || r != nil
	}
	if !some {
		return nil
	}
	return all
}

const (
	// countTime is how long to wait until servers have counted what was sent, and askAgain
	// when to ask them again: they make a report a few times a second.
	countTime = 5 * time.Second
	askAgain  = 250 * time.Millisecond
)

// counted returns the reports that have all requests of a split, or the last ones.
func (s *sent) counted(ctx context.Context, f *facts, requests int) []*status.Report {
	ctx, cancel := context.WithTimeout(ctx, countTime)
	defer cancel()
	for {
		reports := fetch(ctx, f)
		for _, d := range deltas(s.before, reports) {
			if d.total >= requests {
				return reports
			}
		}
		if len(reports) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return reports
		case <-time.After(askAgain):
		}
	}
}

// delta is what a split's backends got between two reports of all servers.
type delta struct {
	split          plugin.SplitStatus // as it is at the end
	total          int
	byWeight       map[string]int // by the backend
	all            map[string]int // likewise, whatever decided
	changed        bool           // it has another revision or other shares than at the beginning
	unavailable    int
	unableBackends []string
	servers        int
}

// deltas returns that of each split, by its name.
func deltas(before, after []*status.Report) map[string]*delta {
	out := map[string]*delta{}
	for i, r := range after {
		if r == nil {
			continue
		}
		for _, s := range r.Splits {
			was := plugin.SplitStatus{}
			if i < len(before) && before[i] != nil {
				for _, other := range before[i].Splits {
					if other.Split == s.Split || s.ID != "" && other.ID == s.ID {
						was = other
					}
				}
			}
			d := out[s.Split]
			if d == nil {
				d = &delta{split: s, byWeight: map[string]int{}, all: map[string]int{}}
				out[s.Split] = d
			}
			d.add(was, s)
		}
	}
	return out
}

func (d *delta) add(was, is plugin.SplitStatus) {
	d.servers++
	d.unavailable += int(is.Unavailable - was.Unavailable)
	d.changed = d.changed || was.Revision != "" && was.Revision != is.Revision || is.Revision != d.split.Revision
	for i, b := range is.Backends {
		before := plugin.BackendStatus{}
		if i < len(was.Backends) && was.Backends[i].Name == b.Name {
			before = was.Backends[i]
			d.changed = d.changed || before.Share != b.Share
		}
		if b.Missing || b.Up != nil && !*b.Up {
			d.unableBackends = append(d.unableBackends, b.Name)
		}
		for reason, n := range b.Requests {
			if reason == split.ByRetry { // it was decided for another backend
				continue
			}
			grown := int(n - before.Requests[reason])
			d.total += grown
			d.all[b.Name] += grown
			if reason == split.ByWeight {
				d.byWeight[b.Name] += grown
			}
		}
	}
}

// chosen returns the split that got so many requests.
func (s *Send) chosen(all map[string]*delta, requests int) (*delta, error) {
	var found []*delta
	var names []string
	for name, d := range all {
		if s.Split != "" && s.Split != name && s.Split != d.split.ID || s.Split == "" && d.total+d.unavailable < requests {
			continue
		}
		found = append(found, d)
		names = append(names, name)
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) == 0 && s.Split != "":
		return nil, fmt.Errorf("no server has a split %q", s.Split)
	case len(found) == 0:
		return nil, errors.New("no split of the servers has got as many requests in this time: is the route of the path one with the plugin, and is the server of --status the one that this Kong asks?")
	}
	return nil, fmt.Errorf("%d splits got requests meanwhile: say which one is meant by --split; there are %s", len(found), strings.Join(names, ", "))
}
