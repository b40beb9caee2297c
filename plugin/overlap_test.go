package plugin_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/config"
)

// upstreamsOf is the JSON of backends that are Upstreams "u0", "u1", … of these
// weights.
func upstreamsOf(weights []int) string {
	var backends []string
	for i, w := range weights {
		backends = append(backends, fmt.Sprintf(`{"upstream":"u%d","weight":%d}`, i, w))
	}
	return `"backends":[` + strings.Join(backends, ",") + `]`
}

// shared keeps account of what backends should have had, less what they got: of each
// request, the shares by the weights that it was decided with.
type shared struct {
	owed  []float64
	worst float64
}

// visit makes a request of an instance that has these weights.
func (s *shared) visit(t rapid.TB, i *plugin.Instance, weights []int) {
	k := web()
	for n := range weights {
		k.upstreams = append(k.upstreams, fmt.Sprint("u", n))
	}
	if err := k.access(t, i); err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, w := range weights {
		total += w
	}
	for n, w := range weights {
		s.owed[n] += float64(w) / float64(total)
	}
	s.owed[slices.Index(k.upstreams, strings.TrimPrefix(k.told[0], "service.set_upstream "))]--
	for _, owed := range s.owed {
		s.worst = max(s.worst, math.Abs(owed))
	}
}

// Workers of Kong's load configurations one after another, each at its own time, with
// requests in between: every request counts, and no backend gets ahead by it.
func TestSharesOverReloadsOfManyWorkers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const backends = 4
		weight := rapid.OneOf(rapid.IntRange(1, 5), rapid.IntRange(1, 400))
		draw := rapid.SliceOfN(weight, backends, backends)
		type worker struct {
			instance *plugin.Instance
			loaded   int
			weights  []int
		}
		configs := [][]int{draw.Draw(t, "first")}
		p := plugin.New(options)
		workers := make([]worker, rapid.IntRange(2, 4).Draw(t, "workers"))
		load := func(w *worker) {
			last := len(configs) - 1
			i := p.Start([]byte(fmt.Sprintf(`{"__plugin_id":"p","__seq__":%d,"route_id":"r",%s}`, last+1, upstreamsOf(configs[last]))))
			if w.instance != nil {
				w.instance.Close()
			}
			*w = worker{i, last, configs[last]}
		}
		for n := range workers {
			load(&workers[n])
		}
		s := shared{owed: make([]float64, backends)}
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			w := &workers[rapid.IntRange(0, len(workers)-1).Draw(t, "worker")]
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0:
				configs = append(configs, draw.Draw(t, "weights"))
			case 1:
				load(w)
			default:
				for range rapid.IntRange(1, 10).Draw(t, "requests") {
					s.visit(t, w.instance, w.weights)
				}
			}
		}
		if s.worst >= 2 {
			t.Fatalf("off by %.3f", s.worst)
		}
	})
}

// 300 : 100 and 301 : 100 in turn, by two workers, hundreds of times.
func TestSharesOverHundredsOfEdits(t *testing.T) {
	p := plugin.New(options)
	weights := [][]int{{300, 100}, {301, 100}}
	old := []*plugin.Instance{start(t, p, onRoute+upstreamsOf(weights[0])), start(t, p, onRoute+upstreamsOf(weights[0]))}
	s := shared{owed: make([]float64, 2)}
	for edit := range 300 {
		was, is := weights[edit%2], weights[(edit+1)%2]
		for w := range old {
			next := start(t, p, onRoute+upstreamsOf(is))
			old[w].Close()
			old[w] = next
			s.visit(t, old[0], is)
			if w == 0 { // the other worker has not loaded it yet
				s.visit(t, old[1], was)
				s.visit(t, old[1], was)
			}
		}
	}
	if s.worst >= 1 {
		t.Errorf("off by %.3f", s.worst)
	}
}

// The same of splits in files.
func TestSharesOverEditsOfAFile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const backends = 3
		draw := rapid.SliceOfN(rapid.IntRange(1, 400), backends, backends)
		p := plugin.New(options)
		s := shared{owed: make([]float64, backends)}
		i := p.Start([]byte(`{` + onRoute + `"split":"web"}`))
		for range rapid.IntRange(1, 40).Draw(t, "edits") {
			weights := draw.Draw(t, "weights")
			c, err := config.FromKong([]byte(`{` + upstreamsOf(weights) + `}`))
			if err != nil {
				t.Fatal(err)
			}
			p.SetSplits(map[string]*config.Config{"web": c})
			for range rapid.IntRange(0, 10).Draw(t, "requests") {
				s.visit(t, i, weights)
			}
		}
		if s.worst >= 2 {
			t.Fatalf("off by %.3f", s.worst)
		}
	})
}
