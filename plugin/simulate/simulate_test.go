package simulate_test

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"kong-traffic-split/plugin/simulate"
	"kong-traffic-split/plugin/split"
)

var start = time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC)

// weighted returns a split with backends a, b, … of these weights.
func weighted(weights ...int) *split.Split {
	s := &split.Split{Algorithm: split.Smooth, OnUnavailable: split.Fail, Revision: "r1", Identity: "shop"}
	for i, w := range weights {
		s.Backends = append(s.Backends, split.Backend{Name: string(rune('a' + i)), Weight: w})
	}
	return s
}

// ramped returns a split whose backend b goes from 0 to 50 % in four hours.
func ramped() *split.Split {
	s := weighted(2, 1, 1)
	s.Ramp = &split.Ramp{Backend: 1, From: 0, To: 5000, Start: start, Duration: 4 * time.Hour}
	return s
}

func play(t rapid.TB, s *split.Split, o simulate.Options) *simulate.Result {
	t.Helper()
	r, err := simulate.Play(s, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSmoothCountsAreWithinOneOfTheShares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.IntRange(0, 100), 1, 8).Draw(t, "weights")
		weights[0]++ // one has to have some
		n := rapid.IntRange(1, 2000).Draw(t, "requests")
		r := play(t, weighted(weights...), simulate.Options{Requests: n})
		sum, total := 0, 0
		for _, w := range weights {
			sum += w
		}
		for i, w := range weights {
			due := float64(n*w) / float64(sum)
			if math.Abs(r.Expected[i]-due) > 1e-4 {
				t.Errorf("backend %d is due %v, want %v", i, r.Expected[i], due)
			}
			if off := math.Abs(float64(r.Counts[i]) - due); off >= 1 || off > r.MaxDeviation+1e-4 {
				t.Errorf("backend %d has %d, due are %v; the largest deviation is said to be %v", i, r.Counts[i], due, r.MaxDeviation)
			}
			total += r.Counts[i]
		}
		if total != n || r.MaxDeviation >= 1 {
			t.Errorf("%d of %d requests, deviation %v", total, n, r.MaxDeviation)
		}
	})
}

func TestRampFollowsShareAt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := weighted(rapid.SliceOfN(rapid.IntRange(1, 9), 2, 4).Draw(t, "weights")...)
		s.Ramp = &split.Ramp{
			From: rapid.IntRange(0, 10000).Draw(t, "from"), To: rapid.IntRange(0, 10000).Draw(t, "to"),
			Start: start, Duration: time.Duration(rapid.IntRange(1, 1_000_000).Draw(t, "seconds")) * time.Second,
			Steps: rapid.IntRange(0, 5).Draw(t, "steps"),
		}
		const n = 600
		r := play(t, s, simulate.Options{Requests: n})
		margin := s.Ramp.Duration / 20
		if !r.From.Equal(start.Add(-margin)) || r.For != s.Ramp.Duration+2*margin {
			t.Errorf("from %s for %s", r.From, r.For)
		}
		due := 0.0
		for k := range n {
			due += float64(s.Ramp.ShareAt(r.From.Add(time.Duration(float64(r.For)*float64(k)/n)))) / 10000
		}
		// The times here are a little coarser, so that a jump may be seen late.
		if math.Abs(r.Expected[0]-due) > float64(max(1, s.Ramp.Steps)) || math.Abs(float64(r.Counts[0])-r.Expected[0]) >= 2 {
			t.Errorf("%d requests, %v are due, by the ramp %v", r.Counts[0], r.Expected[0], due)
		}
		for i := range r.Points {
			p := &r.Points[i]
			if want := p.Ramp() * float64(p.Requests); math.Abs(float64(p.Counts[0])-want) > 4 {
				t.Errorf("point %d: %d of %d requests, the ramp is at %v", i, p.Counts[0], p.Requests, p.Ramp())
			}
		}
	})
}

func TestGuardRollsBack(t *testing.T) {
	s := ramped()
	s.Ramp.Guard = &split.Guard{MaxErrorRatio: 2000, MinRequests: 50, Window: 10 * time.Minute}
	well := play(t, s, simulate.Options{Fail: map[string]float64{"b": 0.05}})
	if len(well.Events) != 0 || well.Counts[1] != 2500 {
		t.Errorf("with few failures: %d requests, %v", well.Counts[1], well.Events)
	}
	ill := play(t, s, simulate.Options{Fail: map[string]float64{"b": 0.5}})
	if len(ill.Events) != 1 {
		t.Fatalf("events %v, want one", ill.Events)
	}
	if want := `the ramp of "b" is rolled back, and stays so until it is changed: `; ill.Events[0].Text[:len(want)] != want {
		t.Errorf("got %q", ill.Events[0].Text)
	}
	if ill.Failed[1] == 0 || ill.Failed[0] != 0 {
		t.Errorf("failed %v", ill.Failed)
	}
	for i, p := range ill.Points {
		if p.At.After(ill.Events[0].At) && (p.Counts[1] != 0 || p.Ramp() != 0) {
			t.Errorf("point %d, after the rollback: %d requests, the ramp is at %v", i, p.Counts[1], p.Ramp())
		}
	}
	if ill.MaxDeviation >= 2 {
		t.Errorf("what is rolled back is not due: %v", ill.MaxDeviation)
	}
}

// As the plugin, which does not roll back either while nobody else could take the share.
func TestGuardWithoutAlternative(t *testing.T) {
	for _, o := range []simulate.Options{{Down: []string{"a", "c"}}, {Unhealthy: []string{"a", "c"}}} {
		s := ramped()
		s.OnUnavailable = split.Redistribute
		s.Ramp.Guard = &split.Guard{MaxErrorRatio: 2000, MinRequests: 50, Window: 10 * time.Minute}
		o.Fail = map[string]float64{"b": 0.5}
		r := play(t, s, o)
		if len(r.Events) != 1 {
			t.Fatalf("%+v: events %v, want one", o, r.Events)
		}
		want := `the ramp of "b" is rolled back only once another backend can take its share, and none can: `
		if !strings.HasPrefix(r.Events[0].Text, want) {
			t.Errorf("%+v: got %q", o, r.Events[0].Text)
		}
	}
}

func TestPassiveEjection(t *testing.T) {
	s := weighted(1, 1)
	s.OnUnavailable = split.Redistribute
	s.Backends[1].Passive = &split.Passive{Failures: 3, Ejection: 5 * time.Second}
	r := play(t, s, simulate.Options{Requests: 1000, Fail: map[string]float64{"b": 1}}) // in 10 s
	want := []simulate.Event{
		{At: simulate.Epoch.Add(50 * time.Millisecond), Text: `"b" is ejected for 5s: 3 requests in a row failed`},
		{At: simulate.Epoch.Add(5100 * time.Millisecond), Text: `"b" is ejected for 5s: 3 requests in a row failed`},
	}
	if diff := cmp.Diff(want, r.Events); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if r.Counts[1] != 6 || r.Counts[0] != 994 || r.Refused != 0 {
		t.Errorf("counts %v, refused %d", r.Counts, r.Refused)
	}
}

func TestDownBackendsShareIsRefused(t *testing.T) {
	r := play(t, weighted(3, 1), simulate.Options{Requests: 100, Down: []string{"b"}})
	if r.Refused != 25 || r.Counts[0] != 75 || r.MaxDeviation != 25 {
		t.Errorf("counts %v, refused %d, deviation %v", r.Counts, r.Refused, r.MaxDeviation)
	}
}

// What does not exist is found out as in Kong, one backend after another, and the
// others share as if it were not in the config.
func TestDownBackendsShareIsRedistributed(t *testing.T) {
	weights := make([]int, 24)
	var down []string
	want := make([]int, 24)
	for i := range weights {
		weights[i] = 1
		if i%2 == 1 {
			down = append(down, string(rune('a'+i)))
		} else {
			want[i] = 200
		}
	}
	s := weighted(weights...)
	s.OnUnavailable = split.Redistribute
	r := play(t, s, simulate.Options{Requests: 2400, Down: down})
	if diff := cmp.Diff(want, r.Counts); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A client's key reaches hash_on whatever that is about.
func TestKeyedClientsStay(t *testing.T) {
	for _, on := range []split.KeyKind{
		split.OnConsumer, split.OnIP, split.OnHeader, split.OnCookie, split.OnPath, split.OnQueryArg, split.OnURICapture,
	} {
		s := weighted(1, 1)
		s.HashOn = []split.Key{{On: on, Name: "x"}}
		r := play(t, s, simulate.Options{Requests: 2000, Clients: simulate.Clients{Number: 300}})
		if r.Clients.Number < 290 || r.Clients.Moves != 0 || r.Reasons[split.ByHash] != 2000 || r.Counts[0] < 600 || r.Counts[1] < 600 {
			t.Errorf("%s: clients %+v, reasons %v, counts %v", on, *r.Clients, r.Reasons, r.Counts)
		}
	}
}

func TestKeyedClientsMoveOnceAlongARamp(t *testing.T) {
	s := ramped()
	s.HashOn = []split.Key{{On: split.OnConsumer}}
	r := play(t, s, simulate.Options{Clients: simulate.Clients{Number: 400}})
	if c := r.Clients; c.Moved < 100 || c.Moved > 300 || c.Moves != c.Moved {
		t.Errorf("of %d clients %d moved, %d times", c.Number, c.Moved, c.Moves)
	}
}

func TestSessionsStayAlongARamp(t *testing.T) {
	s := ramped()
	s.Session = &split.Session{Cookie: "at", Path: "/", Secrets: [][]byte{[]byte("0123456789abcdef")}}
	r := play(t, s, simulate.Options{Clients: simulate.Clients{Number: 400}})
	if r.Clients.Moves != 0 || r.Reasons[split.BySession] != r.Requests-r.Clients.Number {
		t.Errorf("clients %+v, reasons %v", *r.Clients, r.Reasons)
	}
	s.Session.MaxAge = time.Hour // they are placed anew, by what the ramp is then
	if r := play(t, s, simulate.Options{Clients: simulate.Clients{Number: 400}}); r.Clients.Moves == 0 {
		t.Error("nobody moves though the sessions end")
	}
}

func TestKeysComeInOrder(t *testing.T) {
	s := weighted(1, 1)
	s.HashOn = []split.Key{{On: split.OnHeader, Name: "X-User"}}
	alone := func(key string) int {
		r := play(t, s, simulate.Options{Requests: 1, Clients: simulate.Clients{Keys: []string{key}}})
		return r.Counts[1]
	}
	want := 0
	keys := []string{"ann", "ann", "bob", "eve"}
	for k := range 10 {
		want += alone(keys[k%4])
	}
	r := play(t, s, simulate.Options{Requests: 10, Clients: simulate.Clients{Keys: keys}})
	if r.Counts[1] != want || r.Clients.Number != 3 {
		t.Errorf("b has %d, want %d; %d clients", r.Counts[1], want, r.Clients.Number)
	}
}

func TestSeedDecidesWhatIsRandom(t *testing.T) {
	s := weighted(1, 1)
	s.Algorithm = split.Random
	o := simulate.Options{Requests: 500, Fail: map[string]float64{"a": 0.5}, Seed: 7}
	one, again := play(t, s, o), play(t, s, o)
	if diff := cmp.Diff(one.Counts, again.Counts); diff != "" || !cmp.Equal(one.Failed, again.Failed) {
		t.Errorf("the same seed: %v", diff)
	}
	o.Seed = 8
	other := play(t, s, o)
	for i := range one.Points {
		if !cmp.Equal(one.Points[i].Counts, other.Points[i].Counts) {
			return
		}
	}
	t.Error("another seed gives the same")
}

// The rules see what all requests have in common.
func TestRules(t *testing.T) {
	s := weighted(1, 1)
	s.Rules = []split.Rule{{Match: split.Match{Methods: []string{"POST"}}, Backend: 1}}
	r := play(t, s, simulate.Options{Requests: 10, Facts: split.Facts{Method: "POST"}})
	if r.Counts[1] != 10 || r.Reasons[split.ByRule] != 10 {
		t.Errorf("counts %v, reasons %v", r.Counts, r.Reasons)
	}
}

func TestCourse(t *testing.T) {
	late := start.Add(time.Hour)
	for _, tt := range []struct {
		name     string
		split    *split.Split
		options  simulate.Options
		requests int
		from     time.Time
		length   time.Duration
	}{
		{"nothing said", weighted(1), simulate.Options{}, 1000, simulate.Epoch, 10 * time.Second},
		{"requests", weighted(1), simulate.Options{Requests: 50}, 50, simulate.Epoch, 500 * time.Millisecond},
		{"a rate", weighted(1), simulate.Options{Rate: 2}, 1000, simulate.Epoch, 500 * time.Second},
		{"a rate and a time", weighted(1), simulate.Options{Rate: 2.5, For: 3 * time.Second}, 8, simulate.Epoch, 3 * time.Second},
		{"requests in a time", weighted(1), simulate.Options{Requests: 7, For: time.Hour, From: start}, 7, start, time.Hour},
		{"a ramp", ramped(), simulate.Options{}, 10000, start.Add(-12 * time.Minute), 264 * time.Minute},
		{"a ramp at a rate", ramped(), simulate.Options{Rate: 1}, 15840, start.Add(-12 * time.Minute), 264 * time.Minute},
		{"a ramp from then on", ramped(), simulate.Options{From: late}, 10000, late, 192 * time.Minute},
		{"a ramp's beginning", ramped(), simulate.Options{For: time.Hour}, 10000, start.Add(-12 * time.Minute), time.Hour},
		{"some requests of a ramp", ramped(), simulate.Options{Requests: 60, Rate: 1}, 60, start.Add(-12 * time.Minute), time.Minute},
		{"after a ramp", ramped(), simulate.Options{From: start.AddDate(1, 0, 0)}, 10000, start.AddDate(1, 0, 0), 100 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := play(t, tt.split, tt.options)
			if r.Requests != tt.requests || !r.From.Equal(tt.from) || r.For != tt.length {
				t.Errorf("%d requests from %s for %s", r.Requests, r.From, r.For)
			}
		})
	}
}

func TestWrongOptions(t *testing.T) {
	byIP := weighted(1, 1)
	byIP.HashOn = []split.Key{{On: split.OnIP}}
	for _, tt := range []struct {
		split   *split.Split
		options simulate.Options
		want    string
	}{
		{nil, simulate.Options{Requests: -1}, "requests: -1 is not in 1..10000000"},
		{nil, simulate.Options{Requests: 10_000_001}, "requests: 10000001 is not in 1..10000000"},
		{nil, simulate.Options{Rate: -1}, "rate: -1 is not a number of requests a second"},
		{nil, simulate.Options{Rate: math.NaN()}, "rate: NaN is not a number of requests a second"},
		{nil, simulate.Options{Rate: 1e300, For: time.Second}, "rate: 1e+300 a second for 1s are more than 10000000 requests; take fewer a second, or requests instead"},
		{nil, simulate.Options{Rate: 1e-300}, "rate: 1000 requests at 1e-300 a second take longer than 87840h0m0s"},
		{nil, simulate.Options{For: -time.Second}, "for: -1s is not in 0s..87840h0m0s"},
		{nil, simulate.Options{Requests: 1, Rate: 1, For: 1}, "rate: requests and for make it already; leave one of the three out"},
		{nil, simulate.Options{Down: []string{"c"}}, `down: "c" is the name of no backend; there are "a", "b"`},
		{nil, simulate.Options{Fail: map[string]float64{"c": 1}}, `fail: "c" is the name of no backend; there are "a", "b"`},
		{nil, simulate.Options{Fail: map[string]float64{"a": 1.1}}, "fail: a=1.1: a ratio is in 0..1"},
		{nil, simulate.Options{Fail: map[string]float64{"a": math.NaN()}}, "fail: a=NaN: a ratio is in 0..1"},
		{nil, simulate.Options{Clients: simulate.Clients{Number: -1}}, "clients: -1 is not in 1..1000000"},
		{byIP, simulate.Options{Clients: simulate.Clients{Keys: []string{"::1", "ann"}, Source: "keys.txt"}}, `keys: keys.txt:2: "ann" is not an IP address, and hash_on is ip`},
	} {
		s := tt.split
		if s == nil {
			s = weighted(1, 1)
		}
		if _, err := simulate.Play(s, tt.options); err == nil || err.Error() != tt.want {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
}

// However many requests there are, what is due is counted exactly.
func TestManyBackendsOfLargeWeights(t *testing.T) {
	weights := make([]int, split.MaxBackends)
	for i := range weights {
		weights[i] = split.MaxWeight - i
	}
	s := weighted(weights...)
	for i := range s.Backends {
		s.Backends[i].Name = strconv.Itoa(i)
	}
	s.Ramp = &split.Ramp{From: 1, To: 9999, Start: start, Duration: time.Hour}
	r := play(t, s, simulate.Options{Requests: 5000})
	due := 0.0
	for _, d := range r.Expected {
		due += d
	}
	if math.Abs(due-5000) > 0.01 || r.MaxDeviation >= 2 {
		t.Errorf("%v are due together, deviation %v", due, r.MaxDeviation)
	}
}
