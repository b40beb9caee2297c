package browser

import (
	"bufio"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/status"
)

// served is a report that can be changed while it is shown.
type served struct {
	splits atomic.Pointer[[]plugin.SplitStatus]
	asked  atomic.Int64 // how often it was looked at
}

func (s *served) set(splits ...plugin.SplitStatus) { s.splits.Store(&splits) }

func (s *served) source() status.Source {
	source := source()
	source.Splits = func(time.Time) []plugin.SplitStatus {
		s.asked.Add(1)
		return *s.splits.Load()
	}
	return source
}

func mixed(canary float64) plugin.SplitStatus {
	return splitOf("shop", backend("stable", 1-canary, uint64(1000-1000*canary)), backend("canary", canary, uint64(1000*canary)))
}

// Bars and figures follow the shares, and what the reader has set stays: focus, selected
// text, what is open and what is found.
func TestPageIsLive(t *testing.T) {
	var s served
	s.set(mixed(0.1), splitOf("search", backend("a", 1, 10)))
	tb := open(t, 1280)
	tb.do(colors("light"), chromedp.Navigate(serve(t, s.source()).URL))
	tb.do(chromedp.Evaluate[chromedp.Void](`
		bar = document.querySelectorAll('.split .got')[1];
		[shop, search] = document.querySelectorAll('.split');
		search.firstElementChild.open = false;
		shop.querySelector('summary').focus();
		getSelection().selectAllChildren(shop.querySelector('h3'));
		scrollTo(0, 50); y = scrollY;`))
	if width := value[string](tb, `bar.getAttribute('width')`); width != "10%" {
		t.Errorf("at first it is %s wide", width)
	}
	s.set(mixed(0.35), splitOf("search", backend("a", 1, 11)))
	tb.until(`bar.getAttribute('width') === '35%' && Math.round(bar.getBoundingClientRect().width / bar.parentNode.getBoundingClientRect().width * 100) === 35`)
	if text := value[string](tb, `shop.innerText`); !strings.Contains(text, "35 %") || strings.Contains(text, "10 %") {
		t.Errorf("the figures are\n%s", text)
	}
	tb.until(`search.textContent.includes('11 requests')`)
	for _, stays := range []string{
		`bar.isConnected`, `!search.firstElementChild.open`, `shop.firstElementChild.open`, `document.activeElement === shop.querySelector('summary')`,
		`getSelection().toString() === 'shop'`, `scrollY === y`,
	} {
		if !value[bool](tb, stays) {
			t.Errorf("%s does not stay", stays)
		}
	}
	// Splits that come and go do not disturb the others.
	s.set(splitOf("accounts", backend("x", 1, 1)), mixed(0.35), splitOf("tickets", backend("y", 1, 1)))
	tb.until(`[...document.querySelectorAll('.split h3')].map((h) => h.textContent).join() === 'accounts,shop,tickets'`)
	if !value[bool](tb, `bar.isConnected && document.activeElement === shop.querySelector('summary')`) {
		t.Error("a split was made anew though it was there")
	}
	tb.silent()
}

// What goes wrong is added where screen readers announce it, and in the title; what was
// there before is not announced again.
func TestWhatGoesWrong(t *testing.T) {
	var s served
	s.set(rollout())
	tb := open(t, 1280)
	tb.do(chromedp.Navigate(serve(t, s.source()).URL))
	tb.do(chromedp.Evaluate[chromedp.Void](`wrong = document.getElementById('wrong')`))
	s.set(rollout(), unhealthy())
	tb.until(`document.title === '2 wrong · traffic-split' && wrong.isConnected && wrong.getAttribute('aria-live') === 'polite'`)
	tb.do(chromedp.Evaluate[chromedp.Void](`items = [...wrong.querySelectorAll('li')]; added = []; removed = 0;
		new MutationObserver((all) => all.forEach((m) => { added.push(...[...m.addedNodes].map((n) => n.textContent)); removed += m.removedNodes.length }))
			.observe(wrong, { childList: true, subtree: true, characterData: true })`))
	s.set(rolledBack(), unhealthy())
	tb.until(`document.title === '3 wrong · traffic-split'`)
	if added := value[[]string](tb, `added.filter((text) => text.trim())`); len(added) == 0 || !strings.HasPrefix(added[0], "shop: the ramp of canary was rolled back") {
		t.Errorf("announced is %q", added)
	}
	if !value[bool](tb, `items[1].isConnected`) { // the other one says when an ejection ends, which is another moment each time here
		t.Error("what was wrong before is announced again")
	}
	// The sentence leads to the split.
	tb.do(chromedp.Evaluate[chromedp.Void](`split = document.querySelector('.split.wrong'); split.firstElementChild.open = false; wrong.querySelector('a').click()`))
	tb.until(`split.firstElementChild.open && location.hash === '#' + split.id`)
	tb.silent()
}

// When the connection is lost the page says that it is old, and goes on when it is back.
func TestConnectionIsLost(t *testing.T) {
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := socket.Addr().String()
	start := func(splits ...plugin.SplitStatus) (stop func()) {
		server := &httptest.Server{Listener: socket, Config: &http.Server{Handler: status.Handler(source(splits...), slog.New(slog.DiscardHandler))}}
		server.Start()
		return func() {
			server.CloseClientConnections()
			server.Close()
		}
	}
	stop := start(mixed(0.1))
	tb := open(t, 1280)
	tb.do(colors("light"), chromedp.Navigate("http://"+address))
	tb.do(chromedp.Evaluate[chromedp.Void](`lost = document.getElementById('lost')`))
	if !value[bool](tb, `lost.hidden`) {
		t.Error("it is lost from the beginning")
	}
	stop()
	tb.until(`!lost.hidden && lost.getAttribute('role') === 'alert'`)
	if text := value[string](tb, `lost.innerText`); !strings.HasPrefix(text, "The connection to the server is lost. What is shown is old, as of ") {
		t.Errorf("it says %q", text)
	}
	tb.shot("lost")
	if socket, err = net.Listen("tcp", address); err != nil {
		t.Fatal(err)
	}
	defer start(mixed(0.2))()
	tb.until(`lost.hidden && document.querySelectorAll('.split .got')[1].getAttribute('width') === '20%' && !document.body.classList.contains('old')`)
}

// When too many watch, the one who has watched longest says so, and can come back.
func TestDisplaced(t *testing.T) {
	var s served
	s.set(mixed(0.1))
	server := serve(t, s.source())
	tb := open(t, 1280)
	tb.do(chromedp.Navigate(server.URL))
	tb.do(chromedp.Evaluate[chromedp.Void](`lost = document.getElementById('lost')`))
	s.set(mixed(0.2))
	tb.until(`document.querySelectorAll('.split .got')[1].getAttribute('width') === '20%'`) // it watches, before all others
	for range 16 {
		response, err := http.Get(server.URL + "/events")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if _, err := bufio.NewReader(response.Body).ReadString('\n'); err != nil { // it has a place
			t.Fatal(err)
		}
	}
	tb.until(`!lost.hidden && lost.innerText.includes('Too many pages watch this server')`)
	tb.do(chromedp.Click(chromedp.CSS("#lost button")))
	tb.until(`lost.hidden`)
	tb.silent()
}

// A tab that nobody sees does not watch.
func TestHiddenTab(t *testing.T) {
	var s served
	s.set(mixed(0.1))
	h := status.Handler(s.source(), slog.New(slog.DiscardHandler))
	begun, ended := make(chan struct{}, 10), make(chan struct{}, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/events" {
			begun <- struct{}{}
			defer func() { ended <- struct{}{} }()
		}
		h.ServeHTTP(w, r)
	}))
	defer server.Close()
	defer server.CloseClientConnections()
	tb := open(t, 1280)
	tb.do(chromedp.Navigate(server.URL))
	hide := func(is string) {
		tb.do(chromedp.Evaluate[chromedp.Void](`Object.defineProperty(document, 'hidden', { configurable: true, get: () => ` + is + ` }); document.dispatchEvent(new Event('visibilitychange'))`))
	}
	<-begun
	hide("true")
	<-ended
	s.set(mixed(0.2))
	hide("false")
	<-begun
	tb.until(`document.querySelectorAll('.split .got')[1].getAttribute('width') === '20%' && document.getElementById('lost').hidden`)
	if len(begun) > 0 {
		t.Error("it watches twice")
	}
	tb.silent()
}

// A page of another edition is loaded anew.
func TestOtherEdition(t *testing.T) {
	tb := open(t, 1280)
	tb.do(chromedp.Navigate(serve(t, source(mixed(0.1))).URL))
	other := chromedp.Evaluate[chromedp.Void](`document.documentElement.dataset.edition = 'another'`)
	if _, err := chromedp.Run(tb.ctx, chromedp.WaitEvent(page.LoadEventFired, nil, other)); err != nil {
		t.Fatal(err)
	}
	tb.until(`document.documentElement.dataset.edition !== 'another'`)
}

// The filter is reached and used by the keyboard, and stays while the page changes.
func TestFilterByKeyboard(t *testing.T) {
	var s served
	s.set(append(many(200), rolledBack())...)
	tb := open(t, 1280)
	tb.do(chromedp.Navigate(serve(t, s.source()).URL))
	tb.do(chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Tab)) // after the link to the report
	if id := value[string](tb, `document.activeElement.id`); id != "filter" {
		t.Fatalf("Tab leads to %q", id)
	}
	tb.do(chromedp.KeyEvent("rouTE-12 next"))
	const shown = `[...document.querySelectorAll('.split:not([hidden]) h3')].map((h) => h.textContent).join()`
	const want = "route-120,route-121,route-122,route-123,route-124,route-125,route-126,route-127,route-128,route-129"
	if got := value[string](tb, shown); got != want {
		t.Errorf("found are %s", got)
	}
	if got := value[string](tb, `document.getElementById('found').innerText`); got != "10 of 201" {
		t.Errorf("it says %q", got)
	}
	changed := many(200)
	changed[120] = unhealthy()
	changed[120].Split = "route-120"
	changed[120].Backends[0].Name = "next"
	s.set(append(changed, rolledBack())...)
	tb.until(`document.querySelector('.split:not([hidden])').classList.contains('wrong')`)
	if got := value[string](tb, shown); got != want {
		t.Errorf("after a change, found are %s", got)
	}
	tb.do(chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(" ")) // only what is wrong
	tb.until(shown + ` === 'route-120'`)
	tb.do(chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Enter)) // the button
	tb.until(`document.querySelector('.split:not([hidden]) details').open`)
	tb.do(chromedp.KeyEvent(kb.Enter))
	tb.until(`!document.querySelector('.split:not([hidden]) details').open`)
	if value[bool](tb, `getComputedStyle(document.activeElement).outlineStyle === 'none'`) {
		t.Error("the focus is not seen")
	}
	tb.silent()
}
