package split

import (
	"fmt"
	"math"
	"net/netip"
	"testing"

	"github.com/cespare/xxhash/v2"
	"pgregory.net/rapid"
)

// Every bit counts: nodes of any kind have to choose alike.
func TestLnIsTheSameEverywhere(t *testing.T) {
	for _, test := range []struct {
		x    float64
		want uint64
	}{
		{fraction(0), 0xc0425e4f7b2737fa},              // −36.74
		{fraction(math.MaxUint64), 0xbca0000000000000}, // −1.11·10⁻¹⁶
		{fraction(0x0123456789abcdef), 0xc015aa16394d4834},
		{fraction(0xfedcba9876543210), 0xbf723eb991354e4c},
		{0.5, 0xbfe62e42fefa39ef},
		{0.25, 0xbff62e42fefa39ef},
		{0.1, 0xc0026bb1bbb55515},
		{0.9, 0xbfbaf8e8210a415b},
		{1e-9, 0xc034b927f32bffb8},
		{math.Sqrt2 / 2, 0xbfd62e42fefa39ee},
		{math.Nextafter(math.Sqrt2/2, 0), 0xbfd62e42fefa39f1},
	} {
		if got := math.Float64bits(ln(test.x)); got != test.want {
			t.Errorf("ln(%g) is %#x, want %#x", test.x, got, test.want)
		}
	}
}

func TestLnIsTheLogarithm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := fraction(rapid.Uint64().Draw(t, "bits"))
		if u <= 0 || u >= 1 {
			t.Fatalf("%g is not between 0 and 1", u)
		}
		got, want := ln(u), math.Log(u)
		if math.Abs(got-want) > 4e-16*max(1, math.Abs(want)) {
			t.Fatalf("ln(%g) is %g, want %g", u, got, want)
		}
	})
	for _, bits := range []uint64{0, math.MaxUint64} {
		if u := fraction(bits); u <= 0 || u >= 1 || !(ln(u) < 0) {
			t.Errorf("bits %#x are %g, with the logarithm %g", bits, u, ln(u))
		}
	}
}

// What a client is sent to must not change from one version to the next.
func TestKeysGoWhereTheyAlwaysWent(t *testing.T) {
	s := &Split{OnUnavailable: Fail, Backends: []Backend{{Name: "stable", Weight: 3}, {Name: "canary", Weight: 1}, {Name: "10.0.0.1:8080", Weight: 2}}}
	for _, test := range []struct {
		key   Key
		facts Facts
		want  string
	}{
		{Key{OnConsumer, ""}, Facts{Consumer: Consumer{ID: "0c7d1d4e-94b5-4b41-9a4c-1d3e7f1a2b3c", Username: "ann"}}, "10.0.0.1:8080"},
		{Key{OnConsumer, ""}, Facts{Consumer: Consumer{ID: "0c7d1d4e-94b5-4b41-9a4c-1d3e7f1a2b3c"}, Credential: "5b0a7a8e-2f0c-4d59-8f8e-0d8a3a3c9e11"}, "10.0.0.1:8080"},
		{Key{OnConsumer, ""}, Facts{Credential: "5b0a7a8e-2f0c-4d59-8f8e-0d8a3a3c9e11"}, "canary"},
		{Key{OnConsumer, ""}, Facts{Consumer: Consumer{ID: "5b0a7a8e-2f0c-4d59-8f8e-0d8a3a3c9e11"}}, "canary"},
		{Key{OnIP, ""}, Facts{IP: netip.MustParseAddr("203.0.113.7")}, "10.0.0.1:8080"},
		{Key{OnIP, ""}, Facts{IP: netip.MustParseAddr("::ffff:203.0.113.7")}, "10.0.0.1:8080"},
		{Key{OnIP, ""}, Facts{IP: netip.MustParseAddr("2001:db8::1")}, "10.0.0.1:8080"},
		{Key{OnHeader, "X-User"}, Facts{Headers: []Header{{"x-other", "1"}, {"x-user", "4711"}}}, "10.0.0.1:8080"},
		{Key{OnCookie, "uid"}, Facts{Cookies: `lang=en; uid="4711"`}, "10.0.0.1:8080"},
		{Key{OnPath, ""}, Facts{Path: "/shop/cart"}, "stable"},
		{Key{OnQueryArg, "user"}, Facts{Query: "a=b&user=%34711"}, "10.0.0.1:8080"},
		{Key{OnURICapture, "tenant"}, Facts{Captures: []Header{{"tenant", "blue"}}}, "stable"},
		{Key{OnHeader, "X-User"}, Facts{Headers: []Header{{"X-User", "\xff\x00"}}}, "stable"},
	} {
		s.HashOn = []Key{test.key}
		d, err := Decide(s, NewState(s), &test.facts)
		if err != nil || s.Backends[d.Backend].Name != test.want || d.Reason != ByHash {
			t.Errorf("%+v: by %s to %s, want %s (%v)", test.key, d.Reason, s.Backends[d.Backend].Name, test.want, err)
		}
	}
}

// The same with other means: the key, a zero byte and the name hashed in one go, and
// the logarithm of the library.
func TestKeysGoByWeightedRendezvous(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &Split{HashOn: []Key{{On: OnPath}}}
		for i, w := range drawWeights(t, "weight", rapid.IntRange(1, 8).Draw(t, "n")) {
			s.Backends = append(s.Backends, Backend{Name: fmt.Sprintf("backend-%d", i), Weight: int(w)})
		}
		key := rapid.StringN(1, 100, -1).Draw(t, "key")
		scores := make([]float64, len(s.Backends))
		best := 0
		for i, b := range s.Backends {
			u := (float64(xxhash.Sum64String(key+"\x00"+b.Name)>>12) + 0.5) / (1 << 52)
			if scores[i] = float64(b.Weight) / -math.Log(u); scores[i] > scores[best] {
				best = i
			}
		}
		d, err := Decide(s, NewState(s), &Facts{Path: key})
		if err != nil || d.Reason != ByHash || scores[d.Backend] < scores[best]*(1-1e-15) {
			t.Fatalf("by %s to %d, want %d of %v (%v)", d.Reason, d.Backend, best, scores, err)
		}
	})
}
