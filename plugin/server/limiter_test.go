package server

import (
	"strconv"
	"strings"
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
		before int
	}{
		{"a", 0, true, 0},
		{"a", 0, false, 0},
		{"b", time.Second, true, 0},
		{"a", time.Minute - 1, false, 0},
		{"a", time.Minute, true, 2},
		{"b", time.Minute, false, 0},
		{"b", time.Minute + time.Second, true, 1},
		{"b", 3 * time.Minute, true, 0},
	} {
		got, before := l.allow(tt.reason, start.Add(tt.after))
		if got != tt.want || before != tt.before {
			t.Errorf("%s after %v: %v, %d before, want %v, %d", tt.reason, tt.after, got, before, tt.want, tt.before)
		}
	}
}

// Whatever the reasons are, and however long, there is a bound to what is logged and to
// what is kept of it. What is beyond that is one reason.
func TestALimiterIsBounded(t *testing.T) {
	var l limiter
	text := strings.Repeat("x", 64<<10)
	allowed := 0
	for i := range 3 * maxReasons {
		if ok, _ := l.allow(strconv.Itoa(i)+text, time.Unix(0, 0)); ok {
			allowed++
		}
	}
	kept := 0
	for reason := range l.said {
		kept += len(reason)
	}
	if allowed != maxReasons+1 || len(l.said) != maxReasons+1 || kept > (maxReasons+1)*2*maxReason {
		t.Errorf("%d reasons allowed, %d kept with %d bytes, want %d of both and no more than %d bytes",
			allowed, len(l.said), kept, maxReasons+1, (maxReasons+1)*2*maxReason)
	}
	if ok, before := l.allow("one more", time.Unix(59, 0)); ok || before != 0 {
		t.Errorf("one more is allowed: %v, %d", ok, before)
	}
	if ok, before := l.allow("later", time.Unix(60, 0)); !ok || before != 0 || len(l.said) != 1 {
		t.Errorf("a minute later it is %v, %d, and %d reasons are kept, want the new one", ok, before, len(l.said))
	}
}
