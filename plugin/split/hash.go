package split

import (
	"cmp"
	"math"

	"github.com/cespare/xxhash/v2"
)

// Weighted rendezvous hashing (R. Schindelhauer, G. Schomaker, Weighted distributed
// hash tables, SPAA 2005): each backend draws a number u between 0 and 1 from the
// key and its own name, and the highest −w/ln(u) has the key. A backend's part of
// the keys is its share of the weights; and when a weight grows, only that
// backend's numbers do, so that keys move to it and never between others.
//
// For example, two backends of weight 1 that draw 0.5 and 0.7 have 1.44 and 2.80:
// the second one has the key. With weight 2 the first has 2.89, and takes it.

// rendezvous returns the backend that has the key, of those of positive weight that
// are not in unusable; -1 if there are none.
func rendezvous(backends []Backend, weights []int64, unusable Set, key *key) int {
	var keyed xxhash.Digest
	keyed.Reset()
	key.write(&keyed)
	best, most := -1, 0.0
	for i, w := range weights {
		if w <= 0 || unusable.Has(i) {
			continue
		}
		digest := keyed
		_, _ = digest.WriteString(backends[i].Name)
		if score := float64(w) / -ln(fraction(digest.Sum64())); best < 0 || score > most {
			best, most = i, score
		}
	}
	return best
}

// fraction converts 64 bits into a number above 0 and below 1, exactly.
func fraction(bits uint64) float64 {
	return (float64(bits>>12) + 0.5) / (1 << 52)
}

// ln is the natural logarithm, to within some 10⁻¹⁵, and the same on every
// machine. math.Log is not: it is assembly on some, and a compiler may fuse a
// product and a sum into one operation that rounds once, which the conversions here
// forbid.
//
// With x = m·2ᵉ and m between √½ and √2, ln(x) is e·ln(2) + 2·artanh(z) for
// z = (m−1)/(m+1), and the series z + z³/3 + z⁵/5 + … gains more than one and a half
// digits with each term, as |z| < 0.172.
func ln(x float64) float64 {
	m, e := math.Frexp(x) // ½ ≤ m < 1
	if m < math.Sqrt2/2 {
		m, e = m*2, e-1
	}
	z := (m - 1) / (m + 1)
	zz := float64(z * z)
	sum := 0.0
	for _, odd := range odds {
		sum = float64(sum*zz) + odd
	}
	return float64(float64(e)*math.Ln2) + float64(2*float64(z*sum))
}

var odds = [...]float64{1. / 21, 1. / 19, 1. / 17, 1. / 15, 1. / 13, 1. / 11, 1. / 9, 1. / 7, 1. / 5, 1. / 3, 1}

// key is the value of a request that is hashed: the same for requests of one client.
type key struct {
	text    string
	address [16]byte // instead of text, of an IP address
	isIP    bool
}

// write writes the key and a byte that no backend's name has. The name follows.
func (k *key) write(to *xxhash.Digest) {
	if k.isIP {
		_, _ = to.Write(k.address[:])
	} else {
		_, _ = to.WriteString(k.text)
	}
	_, _ = to.WriteString("\x00")
}

// point returns a number between 0 and 1 that is the key's at that backend: another one than
// that by which the backend has the key.
func (k *key) point(backend string) float64 {
	var digest xxhash.Digest
	digest.Reset()
	k.write(&digest)
	_, _ = digest.WriteString(backend)
	_, _ = digest.WriteString("\x00")
	return fraction(digest.Sum64())
}

// NeedsCredential reports whether the key of a request depends on its credential, as far
// as its other facts say: it has no consumer, and nothing that is hashed instead of one.
func (s *Split) NeedsCredential(f *Facts) bool {
	for i := range s.HashOn {
		if _, found := keyOf(&s.HashOn[i], f); found {
			return false
		}
		if s.HashOn[i].On == OnConsumer {
			return true
		}
	}
	return false
}

// keyOf returns the key of a request, and whether there is one. An empty one is ignored.
func keyOf(k *Key, f *Facts) (key, bool) {
	var text string
	switch k.On {
	case OnConsumer: // as Kong's Upstreams
		text = cmp.Or(f.Consumer.ID, f.Credential)
	case OnIP:
		if !f.IP.IsValid() {
			return key{}, false
		}
		return key{address: f.IP.As16(), isIP: true}, true
	case OnHeader:
		text, _ = lookup(f.Headers, k.Name)
	case OnCookie:
		text, _ = cookie(f.Cookies, k.Name)
	case OnPath:
		text = f.Path
	case OnQueryArg:
		text, _ = queryArg(f.Query, k.Name)
	case OnURICapture:
		text, _ = capture(f.Captures, k.Name)
	}
	return key{text: text}, text != ""
}
