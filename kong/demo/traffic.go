package demo

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// rate is how many requests a second the rollout's clients send, and clients how many
	// of them may be in flight at the same time; where it would be more, they send fewer.
	rate    = 100
	clients = 32
	// canary is the name of the backend that begins to fail.
	canary = "canary"
)

// traffic is requests that are sent all the time, at an even rate.
type traffic struct {
	client *http.Client
	url    string
	failed atomic.Bool // the canary answers every other request with an error

	mu    sync.Mutex // guards what follows
	stage *Stage     // to which requests that are sent now belong

	ctx    context.Context // of the requests; done when they are to end
	cancel context.CancelFunc
	ended  sync.WaitGroup
}

// startTraffic sends requests until they are stopped.
func startTraffic(url string) *traffic {
	t := &traffic{
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}, Timeout: answerTime},
		url:    url, stage: &Stage{},
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.ended.Go(t.send)
	return t
}

// stop ends the requests.
func (t *traffic) stop() {
	t.cancel()
	t.ended.Wait()
	t.client.CloseIdleConnections()
}

// next begins a stage and returns the former one. Requests that are in flight still count
// for that.
func (t *traffic) next(share float64) (former Stage) {
	t.mu.Lock()
	defer t.mu.Unlock()
	former = *t.stage
	t.stage = &Stage{Share: share}
	return former
}

// now returns the stage under way.
func (t *traffic) now() Stage {
	t.mu.Lock()
	defer t.mu.Unlock()
	return *t.stage
}

func (t *traffic) send() {
	ticks := time.NewTicker(time.Second / rate)
	defer ticks.Stop()
	free := make(chan struct{}, clients)
	for {
		select {
		case <-t.ctx.Done():
			return
		case <-ticks.C:
		}
		select {
		case free <- struct{}{}:
			t.ended.Go(func() {
				t.request()
				<-free
			})
		default:
		}
	}
}

// request sends one and counts its response.
func (t *traffic) request() {
	t.mu.Lock()
	stage := t.stage
	t.mu.Unlock()
	backend, ok := t.exchange()
	if t.ctx.Err() != nil {
		return // it was broken off
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	stage.Requests++
	if backend == canary {
		stage.Canary++
	}
	if !ok {
		stage.Failed++
	}
}

// exchange sends a request and returns who has answered it, and whether that succeeded.
func (t *traffic) exchange() (backend string, ok bool) {
	req, err := http.NewRequestWithContext(t.ctx, http.MethodGet, t.url, nil)
	if err != nil {
		return "", false
	}
	if t.failed.Load() && rand.IntN(2) == 0 {
		req.Header.Set("X-Echo-Set-Status", canary+"=503")
	}
	resp, err := t.client.Do(req)
	if err != nil {
		return "", false
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.Header.Get("X-Echo-Name"), err == nil && resp.StatusCode == http.StatusOK
}
