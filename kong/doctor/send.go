package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/split"
	"kong-traffic-split/plugin/status"
)

// Send are requests to be sent to Kong's proxy.
type Send struct {
	Requests int
	Proxy    string // its address, with a scheme or without
	Path     string
	Host     string // empty: the proxy's own
	Headers  http.Header
	Split    string // the name or the id of the one that is compared; empty: the one that gets them
	Header   string // of answers, which names the backend; empty: that of the row
}

// sent is what has become of requests.
type sent struct {
	err     error             // why they could not be sent
	answers map[string]int    // by status, those that are no success, and by error
	example map[string]string // a message of each of them
	named   map[string]int    // by the backend that the answer's header names
	header  string
	before  []*status.Report
	after   []*status.Report
	shares  []Share // what weights have decided, once that is compared
}

// sendTogether is how many requests are sent at the same time, and answerTime how long one
// may take.
const (
	sendTogether = 8
	answerTime   = 60 * time.Second
)

func (s *Send) run(ctx context.Context, f *facts) *sent {
	out := &sent{answers: map[string]int{}, example: map[string]string{}, named: map[string]int{}, header: s.header(f)}
	out.before = fetch(ctx, f)
	var lock sync.Mutex
	var sending sync.WaitGroup
	next := make(chan struct{})
	client := &http.Client{
		Timeout:       answerTime,
		Transport:     &http.Transport{MaxIdleConnsPerHost: sendTogether},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	for range min(sendTogether, s.Requests) {
		sending.Go(func() {
			for range next {
				name, wrong, example := s.one(ctx, client, out.header)
				lock.Lock()
				if wrong != "" {
					out.answers[wrong]++
					out.example[wrong] = example
				}
				if name != "" {
					out.named[name]++
				}
				lock.Unlock()
			}
		})
	}
	for range s.Requests {
		if ctx.Err() != nil {
			out.err = context.Cause(ctx)
			break
		}
		next <- struct{}{}
	}
	close(next)
	sending.Wait()
	out.after = out.counted(ctx, f, s.Requests)
	return out
}

// one sends a request. It returns the backend that the answer names, and, if it is no
// success, what it is, with a message.
func (s *Send) one(ctx context.Context, client *http.Client, header string) (name, wrong, example string) {
	address := s.Proxy
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(address, "/")+s.Path, nil)
	if err != nil {
		return "", "not sent", err.Error()
	}
	for key, values := range s.Headers {
		r.Header[key] = values
	}
	if r.Host = s.Host; r.Host == "" {
		r.Host = s.Headers.Get("Host")
	}
	answer, err := client.Do(r)
	if err != nil {
		return "", "no answer", err.Error()
	}
	defer answer.Body.Close()
	const limit = 1 << 20
	body, err := io.ReadAll(io.LimitReader(answer.Body, limit))
	if header != "" {
		name = answer.Header.Get(header)
	}
	switch {
	case err != nil:
		return name, "half an answer", err.Error()
	case answer.StatusCode >= http.StatusBadRequest:
		return name, fmt.Sprint(answer.StatusCode), message(body)
	}
	return name, "", ""
}

// message returns what Kong says in an error, or the beginning of another answer.
func message(body []byte) string {
	var kong struct{ Message string }
	if json.Unmarshal(body, &kong) == nil && kong.Message != "" {
		return kong.Message
	}
	const limit = 100
	text, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return text
}

// header returns the response header by which backends are told apart; empty: there is none.
func (s *Send) header(f *facts) string {
	if s.Header != "" || f.kong == nil {
		return s.Header
	}
	header := ""
	for _, r := range f.kong.rows {
		if r.config == nil || s.Split != "" && s.Split != r.InstanceName && s.Split != r.ID {
			continue
		}
		if header != "" && header != r.config.ResponseHeader {
			return "" // it is not known which row gets the requests
		}
		header = r.config.ResponseHeader
	}
	return header
}

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

// chosen returns the split that got the requests.
func (s *Send) chosen(all map[string]*delta) (*delta, error) {
	var found []*delta
	var names []string
	for name, d := range all {
		if s.Split != "" && s.Split != name && s.Split != d.split.ID || s.Split == "" && d.total+d.unavailable < s.Requests {
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
