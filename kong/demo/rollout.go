package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"time"
)

const (
	split = "shop"
	// failsAt is the share from which on the canary fails, some time into that step.
	failsAt = 30
	// maxErrorRatio is the part of its responses that the guard allows to be errors.
	maxErrorRatio = 0.05
	// minRequests is from how many on it judges.
	minRequests = 20
	// lookPause is how often to look at what the plugin server says of the ramp.
	lookPause = 100 * time.Millisecond
)

// shares are those of the rollout's steps, in percent.
var shares = []int{5, 15, failsAt, 60, 100}

// A Stage is the time in which the canary had the same share, and what clients got in it.
type Stage struct {
	Share    float64 `json:"share"` // of the canary, from 0 to 1
	Requests int     `json:"requests"`
	Canary   int     `json:"canary"` // those that the canary has answered
	Failed   int     `json:"failed"`
}

// A Failure is the result of a rollout that went back.
type Failure struct {
	Stages []Stage `json:"stages"` // the last one is that after it went back
	Why    string  `json:"why"`
	// After is how long it took to go back, in seconds from when the canary began to fail.
	After float64 `json:"after"`
}

// WriteJSON writes the result for machines, on one line.
func (f *Failure) WriteJSON(w io.Writer) error { return json.NewEncoder(w).Encode(f) }

// PlayRollout plays [Rollout], with steps that last so long. The requests go on afterwards.
func (d *Demo) PlayRollout(ctx context.Context, out io.Writer, step time.Duration) (*Failure, error) {
	defer d.progress("", "")
	d.traffic = startTraffic(d.proxy + "/shop/hostname")
	var plan []any
	for i, share := range shares {
		planned := map[string]any{"share": share}
		if i < len(shares)-1 {
			planned["for"] = step.Seconds()
		}
		plan = append(plan, planned)
	}
	begun := time.Now()
	d.config.plugin["ramp"] = map[string]any{
		"backend": canary, "start": begun.UTC().Format(time.RFC3339Nano), "plan": plan,
		"guard": map[string]any{"max_error_ratio": maxErrorRatio, "min_requests": minRequests, "wait": true},
	}
	if err := d.apply(ctx); err != nil {
		return nil, err
	}
	p := &player{Demo: d, out: out, step: step}
	if err := p.writeHead(); err != nil {
		return nil, err
	}
	limit := begun.Add(time.Minute + 5*time.Duration(len(shares))*step)
	for !p.over {
		if err := p.look(ctx); err != nil {
			return nil, err
		}
		select {
		case now := <-time.After(lookPause):
			if now.After(limit) {
				return nil, fmt.Errorf("after %v the rollout was not rolled back; the log says:\n%s", now.Sub(begun).Round(time.Second), d.tail())
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return &p.result, p.writeEnd()
}

// player plays a rollout.
type player struct {
	*Demo
	out    io.Writer
	step   time.Duration
	begun  time.Time // when the first stage has begun
	stage  time.Time // when the stage under way has begun; zero: none has
	fails  time.Time // when the canary has begun to fail; zero: not yet
	over   bool
	result Failure
}

// look goes on with what has changed.
func (p *player) look(ctx context.Context) error {
	r, err := p.ramp(ctx)
	if err != nil || r == nil { // the first request begins it
		return err
	}
	now := time.Now()
	switch under := p.traffic.now(); {
	case p.fails.IsZero() && !r.RolledBack.IsZero():
		return errors.New("the rollout was rolled back before the canary began to fail: " + r.Why)
	case !p.result.rolledBack() && !r.RolledBack.IsZero():
		p.traffic.failed.Store(false)
		p.result.Why, p.result.After = r.Why, r.RolledBack.Sub(p.fails).Seconds()
		return p.begin(r, now, "rolled back: "+r.Why)
	case p.result.rolledBack():
		p.progress("playing the rollout", fmt.Sprintf("rolled back; canary got %s", under.text()))
		if p.over = now.Sub(p.stage) >= p.step; p.over {
			return p.finish(r.Share)
		}
	case p.stage.IsZero() || r.Share != under.Share:
		return p.begin(r, now, strings.Repeat("█", int(math.Round(r.Share*barWidth))))
	case p.fails.IsZero() && r.Share*100 >= failsAt && now.Sub(p.stage) >= p.step*2/5:
		p.fails = now
		p.traffic.failed.Store(true)
		return p.write("%5s  the canary begins to fail: every other answer of it is an error\n", p.clock(now))
	default:
		p.progress("playing the rollout", fmt.Sprintf("canary %.0f %%: got %s; %s", r.Share*100, under.text(), r.next(now)))
	}
	return nil
}

// begin begins a stage, and writes what became of the one before it.
func (p *player) begin(r *rampStatus, now time.Time, text string) error {
	if p.stage.IsZero() {
		p.begun = now
		p.traffic.next(r.Share)
	} else if err := p.finish(r.Share); err != nil {
		return err
	}
	p.stage = now
	return p.write("%5s  canary %3.0f %%  %s\n", p.clock(now), r.Share*100, text)
}

// finish ends the stage under way.
func (p *player) finish(next float64) error {
	stage := p.traffic.next(next)
	p.result.Stages = append(p.result.Stages, stage)
	return p.write("                     got %s\n", stage.text())
}

func (p *player) writeHead() error {
	var steps []string
	for _, share := range shares[:len(shares)-1] {
		steps = append(steps, fmt.Sprintf("%d:%v", share, p.step))
	}
	return p.write(`A rollout, as it is begun by

  splitctl ramp start %s %s --plan %s,%d \
    --guard max_error_ratio=%v --guard min_requests=%d --guard wait=true

%d requests a second come in. The guard lets a step begin when it has judged
the one before. It rolls back when more than %.0f %% of the canary's answers are
errors.

`, split, canary, strings.Join(steps, ","), shares[len(shares)-1], maxErrorRatio, minRequests, rate, maxErrorRatio*100)
}

func (p *player) writeEnd() error {
	requests, failed := 0, 0
	for _, s := range p.result.Stages {
		requests, failed = requests+s.Requests, failed+s.Failed
	}
	return p.write("\nIt went back by itself, %.1f s after the canary began to fail. Of %d requests\n%d failed.\n", p.result.After, requests, failed)
}

func (p *player) write(format string, args ...any) error {
	p.progress("", "")
	_, err := fmt.Fprintf(p.out, format, args...)
	return err
}

// clock returns how long the rollout has lasted.
func (p *player) clock(now time.Time) string {
	return fmt.Sprintf("%.0f s", now.Sub(p.begun).Seconds())
}

func (f *Failure) rolledBack() bool { return f.Why != "" }

// text says what the canary has got.
func (s Stage) text() string {
	failed := "none"
	if s.Failed > 0 {
		failed = fmt.Sprint(s.Failed)
	}
	return fmt.Sprintf("%d of %d requests (%.1f %%), %s failed", s.Canary, s.Requests, 100*float64(s.Canary)/float64(max(s.Requests, 1)), failed)
}

// rampStatus is what the plugin server says of a ramp.
type rampStatus struct {
	Share      float64   `json:"share"` // from 0 to 1
	Next       time.Time `json:"next"`
	WaitsFor   string    `json:"waits_for"`
	RolledBack time.Time `json:"rolled_back"`
	Why        string    `json:"why"`
}

// next says when, or after what, the next step begins.
func (r *rampStatus) next(now time.Time) string {
	if left := r.Next.Sub(now); left > 0 {
		return fmt.Sprintf("next step in %.0f s", math.Ceil(left.Seconds()))
	}
	return "waits for " + r.WaitsFor
}

// ramp returns the status of the rollout's ramp; nil: no request has begun it yet.
func (d *Demo) ramp(ctx context.Context) (*rampStatus, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.Page()+"status", nil)
	if err != nil {
		return nil, err
	}
	resp, err := newClient().Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var report struct {
		Splits []struct {
			Split string      `json:"split"`
			Ramp  *rampStatus `json:"ramp"`
		} `json:"splits"`
	}
	if resp.StatusCode != http.StatusOK {
		return nil, errors.New("the plugin server's status is answered with " + resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(&report); err != nil {
		return nil, fmt.Errorf("the plugin server's status: %w", err)
	}
	for _, s := range report.Splits {
		if s.Split == split {
			return s.Ramp, nil
		}
	}
	return nil, nil
}
