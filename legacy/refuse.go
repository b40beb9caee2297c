package main

import (
	"encoding/json"
	"errors"
	"sync"
	"time"

	"kong-traffic-split/plugin/split"
)

// misconfigured is an error of who has written the config.
type misconfigured struct{ error }

// refuse answers the request with an error, and logs the reason.
func (r *request) refuse(reason error) {
	if r.reasons.allow(reason.Error(), time.Now()) {
		_ = r.kong.Log.Err("[traffic-split] " + reason.Error()) // Kong returns no error here
	}
	body, _ := json.Marshal(map[string]string{"message": message(reason)}) // strings always encode
	r.kong.Response.Exit(500, string(body), map[string][]string{
		"Content-Type": {"application/json; charset=utf-8"},
	})
}

// message is what the client is told.
func message(reason error) string {
	switch {
	case errors.As(reason, &misconfigured{}):
		return "The traffic split of this route is not configured correctly"
	case errors.Is(reason, split.ErrUnavailable), errors.Is(reason, split.ErrNoWeight):
		return "No backend is available for this request"
	}
	return "An unexpected error occurred"
}

// reasons says which reasons are to be logged. Its zero value is ready, and safe
// for concurrent use.
type reasons struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// allow tells whether a reason is to be logged at now: it was not for a minute.
func (l *reasons) allow(reason string, now time.Time) bool {
	const pause, most = time.Minute, 100 // most bounds the memory
	l.mu.Lock()
	defer l.mu.Unlock()
	if last, ok := l.last[reason]; ok && now.Sub(last) < pause {
		return false
	}
	if l.last == nil || len(l.last) >= most {
		l.last = map[string]time.Time{}
	}
	l.last[reason] = now
	return true
}
