package browser

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"kong-traffic-split/plugin"
)

// states are what the page is to be good for.
var states = map[string][]plugin.SplitStatus{
	"empty":    nil,
	"rollout":  {rollout(), splitOf("search", backend("a", 1, 20))},
	"wrong":    {rolledBack(), unhealthy(), continuous()},
	"hostile":  {hostileSplit()},
	"long":     {longNames()},
	"backends": {manyBackends()},
	"many":     append(many(200), rolledBack(), unhealthy()),
}

// pale lists the texts whose contrast with their ground is below what WCAG's level AA wants.
const pale = `(() => {
	const rgb = (text) => text.match(/[\d.]+/g).map(Number);
	const luminance = (color) => {
		const [r, g, b] = color.slice(0, 3).map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const ground = (element) => {
		for (; element; element = element.parentElement) {
			const color = rgb(getComputedStyle(element).backgroundColor);
			if (color.length === 3 || color[3] > 0) return color;
		}
		return [255, 255, 255];
	};
	const found = new Set();
	const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	let looked = 0;
	while (texts.nextNode()) {
		const element = texts.currentNode.parentElement;
		if (!texts.currentNode.data.trim() || !element.checkVisibility() || ['SCRIPT', 'STYLE'].includes(element.nodeName)) continue;
		const [a, b] = [luminance(rgb(getComputedStyle(element).color)), luminance(ground(element))];
		const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
		looked++;
		if (contrast < 4.5) found.add(contrast.toFixed(2) + ' ' + texts.currentNode.data.trim());
	}
	return looked ? [...found] : ['there is no text'];
})()`

// In each state, wide and on a phone, in light and dark, the page fits its width, its texts
// can be read, and the browser complains of nothing.
func TestLook(t *testing.T) {
	for name, splits := range states {
		t.Run(name, func(t *testing.T) {
			server := serve(t, source(splits...))
			for _, width := range []int64{1280, 360} {
				tb := open(t, width)
				tb.do(colors("light"), chromedp.Navigate(server.URL))
				for _, scheme := range []string{"light", "dark"} {
					tb.do(colors(scheme))
					if n := value[int](tb, "document.documentElement.scrollWidth"); n > int(width) {
						t.Errorf("at a width of %d it scrolls to %d", width, n)
					}
					if found := value[[]string](tb, pale); len(found) > 0 {
						t.Errorf("%s: too pale are %q", scheme, found)
					}
					tb.shot(fmt.Sprintf("%s-%d-%s", name, width, scheme))
				}
				if title := value[string](tb, "document.title"); !strings.HasSuffix(title, "traffic-split") {
					t.Errorf("the title is %q", title)
				}
				tb.silent()
			}
		})
	}
}

// The colours are others in the dark, and nothing moves for those who do not want that.
func TestDark(t *testing.T) {
	tb := open(t, 1280)
	tb.do(colors("light"), chromedp.Navigate(serve(t, source(rollout())).URL))
	ground := `getComputedStyle(document.documentElement).backgroundColor`
	light := value[string](tb, ground)
	tb.do(colors("dark"))
	if dark := value[string](tb, ground); dark == light {
		t.Errorf("both are %s", dark)
	}
	moves := `[...document.querySelectorAll('*')].some((element) => parseFloat(getComputedStyle(element).transitionDuration) > 0)`
	if value[bool](tb, moves) { // colors has asked for none
		t.Error("something moves")
	}
	tb.do(send(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{}))
	if !value[bool](tb, moves) {
		t.Error("nothing moves")
	}
}

// Without JavaScript the page is complete, has nothing that would need it, and loads itself
// anew.
func TestWithoutJavaScript(t *testing.T) {
	var s served
	s.set(rollout(), unhealthy())
	server := serve(t, s.source())
	with, without := open(t, 1280), open(t, 1280)
	without.do(send(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}))
	text := func(tb *tab) string {
		tb.do(chromedp.Navigate(server.URL))
		tree, err := chromedp.Run(tb.ctx, chromedp.InnerHTML(chromedp.CSS("#report .split")))
		if err != nil {
			t.Fatal(err)
		}
		return tree
	}
	a, b := text(with), text(without)
	for _, want := range []string{"24.8 %", "302", "2.98 % (9 of 302)", "210 ms", "118 of 200 requests", "canary at 25 %, step 3 of 5, waits"} {
		if !strings.Contains(a, want) || !strings.Contains(b, want) {
			t.Errorf("%s is there with JavaScript: %v, without: %v", want, strings.Contains(a, want), strings.Contains(b, want))
		}
	}
	if value[bool](without, `document.getElementById('tools').checkVisibility()`) {
		t.Error("there is a filter that does nothing")
	}
	asked := s.asked.Load()
	with.do(chromedp.Navigate("about:blank")) // so that nobody else asks
	if _, err := chromedp.Run(without.ctx, chromedp.WaitEvent(page.LoadEventFired, nil, chromedp.Evaluate[chromedp.Void](`0`))); err != nil {
		t.Fatal(err)
	}
	if s.asked.Load() == asked {
		t.Error("it was not loaded anew")
	}
	without.shot("without-javascript")
	without.silent()
}

// Screen readers have tables with rows and headers, also where a phone shows them
// otherwise, and bars and courses in words.
func TestScreenReaders(t *testing.T) {
	for _, width := range []int64{1280, 360} {
		tb := open(t, width)
		tb.do(chromedp.Navigate(serve(t, source(rollout())).URL))
		all, err := chromedp.Run(tb.ctx, func(ctx context.Context, t *chromedp.Target) (accessibility.GetFullAXTreeResult, error) {
			return cdp.Call(ctx, t, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
		})
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]int{}
		for _, node := range all.Nodes {
			if node.Role != nil && node.Name != nil {
				seen[string(node.Role.Value)+" "+string(node.Name.Value)]++
			}
		}
		for _, want := range []string{
			`"heading" "Traffic split"`, `"heading" "shop"`, `"heading" "Ramp of canary, from 0 % to 100 %"`, `"heading" "Last changes"`,
			`"table" "shop"`, `"rowheader" "canary of the ramp"`, `"cell" "2.98 % (9 of 302)"`,
			`"image" "24.8 % observed, 25 % configured"`, `"image" "The course of canary from 0 % to 100 %; now 25 %"`,
			`"searchbox" "Filter"`, `"checkbox" "only what is wrong"`, `"main" ""`,
		} {
			if seen[want] == 0 {
				t.Errorf("at a width of %d there is no %s", width, want)
			}
		}
		if width == 1280 && seen[`"columnheader" "Failed"`] == 0 {
			t.Error("columns have no headers")
		}
		if t.Failed() {
			t.Logf("there are %q", slices.Sorted(maps.Keys(seen)))
			return
		}
	}
}
