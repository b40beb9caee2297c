package server

import (
	"strconv"
	"testing"
	"time"
)

func TestLimiter(t *testing.T) {
	var l limiter
	start := time.Unix(0, 0)
	for _, tt := range []struct {
		reason string
		after  time.Duration
		want   bool
	}{
		{"a", 0, true},
		{"a", 0, false},
		{"b", time.Second, true},
		{"a", time.Minute - 1, false},
		{"a", time.Minute, true},
		{"b", time.Minute, false},
		{"b", time.Minute + time.Second, true},
	} {
		if got := l.allow(tt.reason, start.Add(tt.after)); got != tt.want {
			t.Errorf("%s after %v: %v, want %v", tt.reason, tt.after, got, tt.want)
		}
	}
}

func TestALimiterIsBounded(t *testing.T) {
	var l limiter
	allowed := 0
	for i := range 3 * maxReasons {
		if l.allow(strconv.Itoa(i), time.Unix(0, 0)) {
			allowed++
		}
	}
	if allowed != maxReasons || len(l.last) != maxReasons {
		t.Errorf("%d reasons allowed, %d kept, want %d of both", allowed, len(l.last), maxReasons)
	}
	if !l.allow("later", time.Unix(60, 0)) || len(l.last) != 1 {
		t.Errorf("a minute later %d reasons are kept, want the new one", len(l.last))
	}
}
