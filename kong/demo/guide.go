package demo

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// answerTime is how long a request may take before it counts as failed.
const answerTime = 10 * time.Second

const (
	// requests is the number of requests of a round of the guide.
	requests = 200
	// measured is how many requests are timed with the plugin, and as many without.
	measured = 500
)

// rounds are the weights of the guide's rounds.
var rounds = []map[string]int{
	{"echo": 1, "echo2": 1},
	{"echo": 200, "echo2": 100},
}

// PlayGuide plays [Guide] and measures what the plugin adds to a request. It writes the
// results to out.
func (d *Demo) PlayGuide(ctx context.Context, out io.Writer) (*Result, error) {
	defer d.progress("", "")
	result := &Result{}
	client := newClient()
	for i, weights := range rounds {
		if i > 0 { // the first ones are those of the file
			d.config.setWeights(weights)
			if err := d.apply(ctx); err != nil {
				return nil, err
			}
		}
		step := &Step{Weights: weights, Requests: requests, Counts: map[string]int{}}
		err := play(ctx, client, d.proxy, step, func(done int) {
			d.progress("playing the guide", fmt.Sprintf("round %d of %d: %d of %d requests", i+1, len(rounds), done, requests))
		})
		d.progress("", "")
		if err != nil {
			return nil, err
		}
		result.Steps = append(result.Steps, step)
		if err := writeStep(out, describe(i, weights), step); err != nil {
			return nil, err
		}
	}
	d.progress("measuring the time of a request", "")
	median, err := addedTime(ctx, d.proxy+"/echo/hostname", d.proxy+plainPath+"/hostname")
	d.progress("", "")
	if err != nil {
		return nil, err
	}
	result.Added = milliseconds(median)
	_, err = fmt.Fprintf(out, "The plugin added %.2f ms to a request: the difference of the medians of %d\nrequests with it and without, on the stand-in gateway.\n", result.Added, measured)
	return result, err
}

// newClient returns a client that opens a connection for each request, as curl
// in the guide does.
func newClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{DisableKeepAlives: true},
		Timeout:   answerTime,
	}
}

// play sends a step's requests, one after another, and calls progress after each.
func play(ctx context.Context, client *http.Client, url string, step *Step, progress func(done int)) error {
	for i := range step.Requests {
		name, err := hostname(ctx, client, fmt.Sprintf("%s/echo/hostname?iteration=%d", url, i+1))
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			step.Failed++
			if step.FirstError == nil {
				step.FirstError = err
			}
		default:
			step.Counts[name]++
		}
		progress(i + 1)
	}
	return nil
}

// hostname asks for the name of the backend that a request reaches.
func hostname(ctx context.Context, client *http.Client, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("GET %s: %s: %s", url, resp.Status, body)
	}
	return strings.TrimSpace(string(body)), nil
}

// addedTime measures what the plugin adds to a request's time: the difference of the
// medians of a route with it and one without. Requests alternate between the two, each on
// one connection, so that other load on the machine affects both.
func addedTime(ctx context.Context, with, without string) (time.Duration, error) {
	const warmUp = 50
	clients := [2]*http.Client{{Transport: &http.Transport{}}, {Transport: &http.Transport{}}}
	var times [2][]time.Duration
	for i := range warmUp + measured {
		for j, url := range []string{with, without} {
			start := time.Now()
			if _, err := hostname(ctx, clients[j], url); err != nil {
				return 0, fmt.Errorf("measuring the time of a request: %w", err)
			}
			if i >= warmUp {
				times[j] = append(times[j], time.Since(start))
			}
		}
	}
	for j := range clients {
		clients[j].CloseIdleConnections()
		slices.Sort(times[j])
	}
	return times[0][measured/2] - times[1][measured/2], nil
}
