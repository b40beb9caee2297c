package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"kong-traffic-split/plugin"
)

const (
	// askAgain is how long after an answer the status is asked for again: an answer may be
	// as old as [fresh].
	askAgain = 200 * time.Millisecond
	// answerTime is how long a server may take to answer.
	answerTime = 5 * time.Second
)

// Await waits until the server with that status address uses a revision of a split, which
// is named as in its /status: by its name, or the id of its row. When the context ends, the
// error says what the server uses instead, and why if it says so.
func Await(ctx context.Context, address, split, revision, version string) error {
	for {
		r, err := Fetch(ctx, address)
		if err == nil {
			if err = r.uses(split, revision, version); err == nil {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", address, err)
		case <-time.After(askAgain):
		}
	}
}

// URL returns the address of a page of a server whose status address is given as the
// server's own flag has it, or as a URL.
func URL(address, page string) string {
	if !strings.Contains(address, "://") {
		if strings.HasPrefix(address, ":") {
			address = "localhost" + address
		}
		address = "http://" + address
	}
	return strings.TrimSuffix(address, "/") + page
}

// Fetch returns what the server with that status address reports.
func Fetch(ctx context.Context, address string) (*Report, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTime) // so that at the end there is an answer to report
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, URL(address, "/status"), nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET /status is answered with %s", response.Status)
	}
	const limit = 64 << 20
	var r Report
	if err := json.NewDecoder(http.MaxBytesReader(nil, response.Body, limit)).Decode(&r); err != nil {
		return nil, fmt.Errorf("GET /status is not answered by a plugin server: %w", err)
	}
	if r.Version == "" {
		return nil, errors.New("GET /status is not answered by a plugin server, but by something else that speaks JSON")
	}
	return &r, nil
}

// Ramp returns the state of a split's ramp, named as for [Await]; nil: there is none, or no
// such split is used.
func (r *Report) Ramp(split string) *plugin.RampStatus {
	for i, s := range r.Splits {
		if s.Split == split || s.ID == split {
			return r.Splits[i].Ramp
		}
	}
	return nil
}

// uses returns an error unless the server uses a revision of a split.
func (r *Report) uses(split, revision, version string) error {
	var err error
	var known []string
	for _, s := range r.Splits {
		if known = append(known, s.Split); s.Split != split && s.ID != split {
			continue
		}
		if s.Revision == revision {
			return nil
		}
		err = fmt.Errorf("uses revision %s of %s, not yet %s", s.Revision, s.Split, revision)
		if s.ID != "" {
			err = fmt.Errorf("%w; Kong gives it the config of a row with the next request", err)
		}
	}
	if err == nil {
		err = fmt.Errorf("does not use %s; a row of Kong's is used from the first request on that Kong gives it", split)
		if len(known) > 0 {
			err = fmt.Errorf("%w; it uses %s", err, strings.Join(known, ", "))
		}
	}
	if r.SplitFiles != nil && len(r.SplitFiles.Problems) > 0 {
		err = fmt.Errorf("%w\nits split files are wrong:\n  %s", err, strings.Join(r.SplitFiles.Problems, "\n  "))
	}
	if i := slices.IndexFunc(r.ConfigErrors, func(e plugin.ConfigError) bool { return e.Split == split || e.ID == split }); i >= 0 {
		err = errors.Join(err, errors.New("it refuses the config: "+r.ConfigErrors[i].Error))
	}
	if r.Version != version {
		err = errors.Join(err, fmt.Errorf("it is version %s and this is %s, whose revisions may differ for the same config", r.Version, version))
	}
	return err
}
