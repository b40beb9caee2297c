package split

import (
	"math"
	"math/bits"
	"time"
)

// NoAnswer is the latency of a request that the backend has not answered, and of one that
// took longer than the histogram has buckets for, an hour and more.
const NoAnswer = time.Duration(math.MaxInt64)

// A histogram counts latencies in buckets. Up to 64 ms each millisecond has one of its
// own; above, each doubling is divided into 32, so that a bucket's lower end, as which its
// latencies count, is less than 3.2 % below them. The last bucket is for NoAnswer.
type histogram [buckets]uint32

const (
	exact    = 64                                   // ms
	halves   = exact / 2                            // buckets to a doubling
	doubling = 16                                   // of exact, until 2²² ms
	buckets  = exact + doubling*halves + 1          // with the last one
	longest  = exact << doubling * time.Millisecond // and more is NoAnswer
)

// noLatency is in the place of a bucket where the latency is not known.
const noLatency = -1

// bucket returns the index of the bucket of the latency of an outcome, or noLatency.
func (o *Outcome) bucket() int {
	switch {
	case o.Latency >= 0:
		return bucket(o.Latency)
	case o.Failed:
		return buckets - 1
	}
	return noLatency
}

// bucket returns the index of the bucket of a latency, which is not below 0.
func bucket(latency time.Duration) int {
	if latency >= longest {
		return buckets - 1
	}
	ms := uint(latency / time.Millisecond)
	if ms < exact {
		return int(ms)
	}
	shift := bits.Len(ms) - bits.Len(uint(halves)) // so that 32 to 63 are left
	return exact + (shift-1)*halves + int(ms>>shift) - halves
}

// lowerEnd returns the shortest latency of a bucket.
func lowerEnd(bucket int) time.Duration {
	switch {
	case bucket == buckets-1:
		return NoAnswer
	case bucket < exact:
		return time.Duration(bucket) * time.Millisecond
	}
	n := bucket - exact
	return time.Duration((n%halves+halves)<<(n/halves+1)) * time.Millisecond
}

func (h *histogram) add(other *histogram) {
	for i, n := range other {
		h[i] += n
	}
}

func (h *histogram) subtract(other *histogram) {
	for i, n := range other {
		h[i] -= n
	}
}

// quantile returns the latency that the given part of the requests, in hundredths of a
// percent, does not exceed, and how many requests there are.
func (h *histogram) quantile(part int) (latency time.Duration, requests int) {
	for _, n := range h {
		requests += int(n)
	}
	rank := (part*requests + whole - 1) / whole
	for i, n := range h {
		if rank -= int(n); rank <= 0 && requests > 0 {
			return lowerEnd(i), requests
		}
	}
	return 0, 0
}
