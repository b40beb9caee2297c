package browser

import (
	"context"
	"flag"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"kong-traffic-split/plugin/status"
)

var shots = flag.String("shots", "", "a folder for screenshots of what the tests look at")

// deadline is for how long a tab is open: it is to find tests that hang, not slow ones.
const deadline = 5 * time.Minute

// chromium starts the browser, once for all tests; nil: there is none.
var chromium = sync.OnceValue(func() context.Context {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		// As root, as in a container, Chromium runs without a sandbox only.
		options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WSURLReadTimeout(deadline))
		browser, stop := chromedp.NewExecAllocator(context.Background(), options...)
		first, _ := chromedp.NewContext(browser)
		stopChromium = func() {
			_ = chromedp.Cancel(first)
			stop()
		}
		if err := chromedp.Do(first); err != nil {
			stopChromium()
			panic(err)
		}
		return first
	}
	return nil
})

var stopChromium = func() {}

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	stopChromium()
	os.Exit(code)
}

// tab is an open tab.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	problems []string // that the console has
}

// open opens a tab that is so many pixels wide, which ends with the test.
func open(t *testing.T, width int64) *tab {
	t.Helper()
	browser := chromium()
	if browser == nil {
		t.Skip("there is no Chromium: apt-get install --no-install-recommends chromium")
	}
	ctx, stop := chromedp.NewContext(browser)
	t.Cleanup(stop)
	tb := &tab{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, tb.listen); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(ctx, deadline)
	t.Cleanup(cancel)
	tb.ctx = ctx
	tb.do(send(log.Enable, cdp.Empty{}), send(runtime.Enable, cdp.Empty{}), chromedp.EmulateViewport(width, 900))
	return tb
}

// listen notes what the browser complains of: policies that are violated, what cannot be
// loaded, errors of the script.
func (tb *tab) listen(event any) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded:
		tb.problems = append(tb.problems, e.Entry.Text)
	case *runtime.EventConsoleAPICalled:
		for _, arg := range e.Args {
			tb.problems = append(tb.problems, string(arg.Value))
		}
	case *runtime.EventExceptionThrown:
		tb.problems = append(tb.problems, e.ExceptionDetails.Text+" "+e.ExceptionDetails.Exception.Description)
	}
}

func (tb *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	tb.t.Helper()
	if err := chromedp.Do(tb.ctx, steps...); err != nil {
		tb.t.Fatal(err)
	}
}

// send returns the action of a command of the browser's protocol.
func send[P, R any](command cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, command, params)
		return err
	})
}

// value returns the value of an expression in the page.
func value[T any](tb *tab, expression string) T {
	tb.t.Helper()
	v, err := chromedp.Run(tb.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		tb.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// until waits until an expression in the page is true, for as long as the tab is open.
func (tb *tab) until(expression string) {
	tb.t.Helper()
	if _, err := chromedp.Run(tb.ctx, chromedp.Poll[chromedp.Void](expression, chromedp.WithPollingTimeout(0))); err != nil {
		tb.t.Fatalf("%s is not true: %v", expression, err)
	}
}

// colors has the page shown in its light or its dark colours.
func colors(scheme string) chromedp.Action[chromedp.Void] {
	return send(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
}

// silent fails the test if the browser has complained.
func (tb *tab) silent() {
	tb.t.Helper()
	tb.mu.Lock()
	defer tb.mu.Unlock()
	for _, problem := range tb.problems {
		tb.t.Errorf("the console has: %s", problem)
	}
}

// shot saves a screenshot where these are wanted: of the whole page, or the top of a long one.
func (tb *tab) shot(name string) {
	tb.t.Helper()
	if *shots == "" {
		return
	}
	screenshot := chromedp.FullScreenshot(100)
	if value[int](tb, "document.documentElement.scrollHeight") > 5000 {
		screenshot = chromedp.CaptureScreenshot()
	}
	png, err := chromedp.Run(tb.ctx, screenshot)
	if err != nil {
		tb.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*shots, name+".png"), png, 0o600); err != nil {
		tb.t.Fatal(err)
	}
}

// serve serves a report until the test ends.
func serve(t *testing.T, s status.Source) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(status.Handler(s, slog.New(slog.DiscardHandler)))
	t.Cleanup(func() {
		server.CloseClientConnections() // streams
		server.Close()
	})
	return server
}
