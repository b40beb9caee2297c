package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

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
	requests int               // that were sent
	err      error             // why not all of them were sent
	answers  map[string]int    // by status, those that are no success, and by error
	example  map[string]string // a message of each of them
	named    map[string]int    // by the backend that the answer's header names
	header   string
	before   []*status.Report
	after    []*status.Report
	shares   []Share // what weights have decided, once that is compared
}

// sendTogether is how many requests are sent at the same time, and answerTime how long one
// may take. Once those that have failed have taken as long together, no more are sent: one
// that hangs is told within twice that time, whatever the number.
const (
	sendTogether = 8
	answerTime   = 60 * time.Second
)

func (s *Send) run(ctx context.Context, f *facts, answerTime time.Duration) *sent {
	out := &sent{answers: map[string]int{}, example: map[string]string{}, named: map[string]int{}, header: s.header(f)}
	out.before = fetch(ctx, f)
	var lock sync.Mutex
	var sending sync.WaitGroup
	var failing time.Duration // of all together
	next, slow := make(chan struct{}), make(chan struct{}, sendTogether)
	client := &http.Client{
		Timeout:       answerTime,
		Transport:     &http.Transport{MaxIdleConnsPerHost: sendTogether},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	for range min(sendTogether, s.Requests) {
		sending.Go(func() {
			for range next {
				begun := time.Now()
				name, wrong, example := s.one(ctx, client, out.header)
				lock.Lock()
				out.requests++
				if wrong != "" {
					out.answers[wrong]++
					out.example[wrong] = example
					failing += time.Since(begun)
				}
				if name != "" {
					out.named[name]++
				}
				enough := failing >= answerTime
				lock.Unlock()
				if enough {
					slow <- struct{}{}
					return
				}
			}
		})
	}
	for range s.Requests {
		select {
		case next <- struct{}{}:
			continue
		case <-slow:
			out.err = fmt.Errorf("those that failed have taken %v together, and the others might take as long", answerTime)
		case <-ctx.Done():
			out.err = context.Cause(ctx)
		}
		break
	}
	close(next)
	sending.Wait()
	out.after = out.counted(ctx, f, out.requests)
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
