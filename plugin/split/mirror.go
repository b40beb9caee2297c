package split

import "sync/atomic"

// MaxMirrors is how many mirrors a split can have: a [Set] has one bit for each.
const MaxMirrors = 64

// A Mirror is a shadow that gets copies of requests.
type Mirror struct {
	Name    string // unique among the mirrors
	Sources Set    // the backends whose requests it gets
	Part    int    // so many of Whole of these requests
	Whole   int    // positive
}

// A sampler says which requests are copied: of the first k, k·part/whole rounded down, for any
// k. Its zero value is ready to use. It is safe for concurrent use.
type sampler struct{ requests atomic.Uint64 }

// takes counts a request, and reports whether it is copied.
func (s *sampler) takes(part, whole int) bool {
	p, w := uint64(part), uint64(whole)
	k := (s.requests.Add(1) - 1) % w // it begins anew after w
	return (k+1)*p/w > k*p/w
}

// copies counts a request to a backend in the rotations of the split's mirrors, and returns
// those that get a copy of it.
func (st *State) copies(backend int) (copies Set) {
	for i, m := range st.split.Mirrors {
		if m.Sources.Has(backend) && st.samplers[i].takes(m.Part, m.Whole) {
			copies = copies.With(i)
		}
	}
	return copies
}

// samplersOf returns the samplers of the mirrors of s, of which those with the name and the
// part of before go on from there.
func samplersOf(s *Split, before *State) []*sampler {
	if len(s.Mirrors) == 0 {
		return nil
	}
	samplers := make([]*sampler, len(s.Mirrors))
	for i, m := range s.Mirrors {
		samplers[i] = new(sampler)
		if before.split == nil {
			continue
		}
		for j, was := range before.split.Mirrors {
			if was.Name == m.Name && was.Part == m.Part && was.Whole == m.Whole {
				samplers[i] = before.samplers[j]
			}
		}
	}
	return samplers
}
