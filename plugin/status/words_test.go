package status

import (
	"testing"
	"time"
)

func TestWords(t *testing.T) {
	for want, got := range map[string]string{
		"0 %": percentage(0), "100 %": percentage(1), "33.3 %": percentage(1. / 3), "2.98 %": percentage(9. / 302), "0.05 %": percentage(0.0005), "<0.01 %": percentage(0.00001),
		"0": grouped(0), "999": grouped(999), "1,000": grouped(1000), "12,345,678": grouped(12345678),
		"54 ms": duration(0.054), "0.3 ms": duration(0.00031), "999 ms": duration(0.999), "1 s": duration(1), "2.5 s": duration(2.5), "12 s": duration(12.3),
		"1 request": count(1, "request"), "0 requests": count(0, "request"), "1,200 requests": count(1200, "request"),
		"59 s": span(59 * time.Second), "1 min": span(119 * time.Second), "1 h 1 min": span(61 * time.Minute), "2 h": span(2 * time.Hour),
		"12 h": span(12*time.Hour + 59*time.Minute), "1 d 3 h": span(27 * time.Hour), "40 d": span(40*24*time.Hour + time.Hour),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestMoments(t *testing.T) {
	for _, test := range []struct {
		after       time.Duration
		clock, away string
	}{
		{0, "12:00:00 UTC", "now"},
		{999 * time.Millisecond, "12:00:00 UTC", "now"},
		{4 * time.Minute, "12:04:00 UTC", "in 4 min"},
		{-3 * time.Second, "11:59:57 UTC", "3 s ago"},
		{12 * time.Hour, "2026-11-02 00:00 UTC", "in 12 h"},
		{-24 * 365 * time.Hour, "2025-11-01 12:00 UTC", "365 d ago"},
	} {
		m := Moment{noon.Add(test.after).In(time.FixedZone("", 3600)), noon}
		if m.Clock() != test.clock || m.Away() != test.away {
			t.Errorf("%v after noon: %q, %q; want %q, %q", test.after, m.Clock(), m.Away(), test.clock, test.away)
		}
	}
}
