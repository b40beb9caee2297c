package plugin

import (
	"testing"
	"time"
)

// A time that was chosen before a sample was dropped does not make a minute's number one of
// all times.
func TestSampleThatWasDropped(t *testing.T) {
	var s samples[uint64]
	if got := s.at(time.Now()); got != 0 {
		t.Errorf("without samples it is %d", got)
	}
	begun := time.Now()
	at := func(n int) time.Time { return begun.Add(time.Duration(n) * SamplePause) }
	s.add(1000, at(0), at(1))
	chosen := at(1)
	for n := 2; n <= 14; n++ { // until the one at that time is older than a minute
		s.add(1000+uint64(n), at(n-1), at(n))
	}
	if got := s.at(chosen); got < 1000 || got > 1003 {
		t.Errorf("it is %d, want that of the oldest sample, shortly after 1000", got)
	}
}
