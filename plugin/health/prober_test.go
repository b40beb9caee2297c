package health

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"kong-traffic-split/plugin/state"
)

// backend is one that connections are made to, as long as it is up.
type backend struct {
	mu    sync.Mutex
	down  error
	takes time.Duration // for a connection to be made or refused
	dials []string
	now   int // dials under way
	most  int // of them at the same time
}

func (b *backend) dial(ctx context.Context, _, address string) (net.Conn, error) {
	b.mu.Lock()
	b.dials = append(b.dials, address)
	b.now++
	b.most = max(b.most, b.now)
	takes, down := b.takes, b.down
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		b.now--
		b.mu.Unlock()
	}()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: ctx.Err()}
	}
	if down != nil {
		return nil, down
	}
	conn, other := net.Pipe()
	_ = other.Close()
	return conn, nil
}

func (b *backend) set(down error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = down
}

func (b *backend) dialled() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.dials)
}

// newProbers returns probers of a backend whose probes begin at once, and the
// text of their log, without times.
func newProbers(t *testing.T, b *backend) (*Probers, *bytes.Buffer) {
	t.Helper()
	return begin(t, b, new(state.Memory))
}

// begin begins with what an earlier process has saved.
func begin(t *testing.T, b *backend, saved state.Store) (*Probers, *bytes.Buffer) {
	t.Helper()
	var text bytes.Buffer
	log := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
	p := prepare(log, saved)
	p.dial = b.dial
	p.phase = func(time.Duration) time.Duration { return 0 }
	p.recallAll()
	t.Cleanup(p.Close)
	return p, &text
}

var errDown = errors.New("it is down")

// after lets time pass, to the middle between two probes.
func after(d time.Duration) {
	time.Sleep(d) // of the bubble's clock
	synctest.Wait()
}

func TestCourse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		p, log := newProbers(t, b)
		begin := time.Now()
		w := p.Watch(Target{Host: "a.example", Port: 80})
		want := func(healthy bool, since time.Duration, lastError string) {
			t.Helper()
			condition := Condition{"tcp://a.example:80", healthy, begin.Add(since), lastError}
			if diff := cmp.Diff(condition, w.Condition()); diff != "" {
				t.Errorf("after %v (-want +got):\n%s", time.Since(begin), diff)
			}
			if w.Healthy() != healthy || healthy != (p.saved.Keys(unhealthyPrefix) == nil) {
				t.Errorf("after %v the watch says %t, and saved is %q", time.Since(begin), w.Healthy(), p.saved.Keys(unhealthyPrefix))
			}
		}
		want(true, 0, "")
		after(2 * time.Second) // the first probe was well
		want(true, 0, "")
		b.set(errDown)
		after(10 * time.Second) // two have failed
		want(true, 0, "it is down")
		after(5 * time.Second) // and a third, at 15 s
		want(false, 15*time.Second, "it is down")
		b.set(nil)
		after(5 * time.Second) // one is well
		want(false, 15*time.Second, "it is down")
		after(5 * time.Second) // and a second, at 25 s
		want(true, 25*time.Second, "it is down")
		if b.dialled() != 6 {
			t.Errorf("%d probes", b.dialled())
		}
		wantLog := `level=WARN msg="backend is unhealthy" target=tcp://a.example:80 failed=3 error="it is down"
level=INFO msg="backend is healthy again" target=tcp://a.example:80 unhealthy_for=10s
`
		if diff := cmp.Diff(wantLog, log.String()); diff != "" {
			t.Error(diff)
		}
	})
}

// TestCounting compares with the words: the last run that was long enough
// counts.
func TestCounting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		results := rapid.SliceOfN(rapid.Bool(), 0, 60).Draw(t, "results")
		target := Target{
			Healthy:   rapid.IntRange(1, 4).Draw(t, "healthy"),
			Unhealthy: rapid.IntRange(1, 4).Draw(t, "unhealthy"),
		}
		changes := 0
		r := &prober{
			target: target, log: slog.New(slog.DiscardHandler),
			changed: func() { changes++ },
		}
		r.healthy.Store(true)
		healthy, wantChanges, text := true, 0, ""
		for _, well := range results {
			var err error
			letter := "+"
			if !well {
				err, letter = errDown, "-"
			}
			r.count(err)
			text += letter
			before := healthy
			if strings.HasSuffix(text, strings.Repeat("+", target.Healthy)) {
				healthy = true
			} else if strings.HasSuffix(text, strings.Repeat("-", target.Unhealthy)) {
				healthy = false
			}
			if before != healthy {
				wantChanges++
			}
			if r.healthy.Load() != healthy || changes != wantChanges {
				t.Fatalf("after %s: healthy %t, want %t; %d changes, want %d", text, r.healthy.Load(), healthy, changes, wantChanges)
			}
		}
	})
}

// A name is left to the dialler, which looks it up each time.
func TestNameIsDialled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		p, _ := newProbers(t, b)
		p.Watch(Target{Host: "a.example", Port: 80})
		after(6 * time.Second)
		if diff := cmp.Diff([]string{"a.example:80", "a.example:80"}, b.dials); diff != "" {
			t.Error(diff)
		}
	})
}

func TestProbeThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{takes: time.Hour}
		p, _ := newProbers(t, b)
		w := p.Watch(Target{Host: "a", Port: 1, Interval: time.Second, Timeout: 2500 * time.Millisecond, Unhealthy: 2})
		after(5100 * time.Millisecond) // probes at 0, at 2.5 and now at 5 s
		if w.Healthy() || w.Condition().LastError != "no answer within 2.5s" {
			t.Errorf("got %+v", w.Condition())
		}
		if b.most != 1 || b.dialled() != 3 {
			t.Errorf("%d probes, %d at the same time", b.dialled(), b.most)
		}
	})
}

// A server that accepts and then says nothing is bounded by the timeout as well,
// before and after its header.
func TestServerThatHangs(t *testing.T) {
	for _, tt := range []struct {
		said, want string
		protocol   Protocol
	}{
		{"", "no answer within 1s", HTTP},
		{"", "no answer within 1s", HTTPS},
		{"HTTP/1.1 200 OK\r\n", "no answer within 1s", HTTP},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "", HTTP},
		{"HTTP/1.1 500 No\r\nContent-Length: 5\r\n\r\n", "status 500 is not in 200..399", HTTP},
	} {
		t.Run(fmt.Sprintf("%s %q", tt.protocol, tt.said), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				target := Target{Host: "a", Port: 1, Protocol: tt.protocol, Path: "/"}.normal()
				dial := func(context.Context, string, string) (net.Conn, error) {
					conn, other := net.Pipe()
					go func() {
						defer other.Close()
						_, _ = other.Read(make([]byte, 4096))
						_, _ = other.Write([]byte(tt.said))
						_, _ = other.Read(make([]byte, 1)) // until the probe ends
					}()
					return conn, nil
				}
				r := &prober{target: target, places: newPlaces(nil, 1), probe: newProbe(target, dial)}
				begin := time.Now()
				if got := message(r.once(t.Context())); got != tt.want {
					t.Errorf("got %q, want %q", got, tt.want)
				}
				if took := time.Since(begin); took != time.Second {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// A prober keeps to a moment of its interval, which is another for each.
func TestProbersAreNotInStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		begin, moments := time.Now(), map[string][]time.Duration{}
		p, _ := newProbers(t, &backend{})
		p.phase = prepare(p.log, p.saved).phase
		p.dial = func(_ context.Context, _, address string) (net.Conn, error) {
			mu.Lock()
			defer mu.Unlock()
			moments[address] = append(moments[address], time.Since(begin)%(5*time.Second))
			return nil, errDown
		}
		for port := range 50 {
			p.Watch(Target{Host: "a", Port: port})
		}
		after(15*time.Second - 1)
		distinct := map[time.Duration]bool{}
		for address, ats := range moments {
			if len(ats) != 3 || ats[0] != ats[1] || ats[1] != ats[2] {
				t.Errorf("%s was probed at %v of its interval", address, ats)
			}
			distinct[ats[0]] = true
		}
		if len(moments) != 50 || len(distinct) < 45 {
			t.Errorf("%d probers probe at %d moments", len(moments), len(distinct))
		}
	})
}
