package browser

import (
	"bufio"
	"bytes"
	"flag"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

var update = flag.Bool("update", false, "write the screenshot of docs, docs/page.png")

// maxScreenshot is how large the screenshot of docs may be, in bytes.
const maxScreenshot = 150 << 10

// demo plays a rollout that fails, with the real executables. It returns the address of the
// page, and what ends the demo and waits for that.
func demo(t *testing.T, step string) (page string, end func()) {
	t.Helper()
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", dir, "./cmd/...")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), dir+"/splitctl", "demo", "--rollout", "--page", "--step", step)
	cmd.Env = append(os.Environ(), "DISPLAY=", "WAYLAND_DISPLAY=") // no browser of the user's
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewReader(stderr)
	for page == "" {
		line, err := said.ReadString('\n')
		if err != nil {
			t.Fatalf("it has not said where the page is: %v", err)
		}
		_, page, _ = strings.Cut(strings.TrimSpace(line), "The page that shows it: ")
	}
	done := make(chan error, 1)
	go func() {
		_, _ = io.Copy(io.Discard, said)
		done <- cmd.Wait()
	}()
	return page, func() {
		t.Helper()
		_, _ = io.WriteString(stdin, "\n")
		if err := <-done; err != nil {
			t.Errorf("the demo has ended with %v", err)
		}
	}
}

// The page shows a rollout of the real server as it goes: the canary's share and what it
// gets, that it is rolled back and why, and that the server has ended.
func TestRollout(t *testing.T) {
	const width = 1040
	tb := open(t, width)
	step := "2s"
	if *update {
		step = "10s"
	}
	page, end := demo(t, step)
	tb.do(colors("light"), chromedp.Navigate(page))
	canary := `document.querySelector('.split .ramped .got')`
	tb.until(canary + ` && parseFloat(` + canary + `.getAttribute('width')) > 0`)
	tb.until(`document.querySelector('.stage').textContent.includes('rolled back to 0 %')`)
	for _, want := range []string{"What is wrong\n", "the ramp of canary was rolled back", "Rolled back to 0 % at "} {
		if text := value[string](tb, `document.getElementById('report').innerText`); !strings.Contains(text, want) {
			t.Errorf("the page lacks %q:\n%s", want, text)
		}
	}
	tb.silent()
	tb.shot("rollout-real")
	if *update {
		tb.do(chromedp.EmulateViewport(width, value[int64](tb, `Math.floor(document.getElementById('server').getBoundingClientRect().top)`)))
		screenshot, err := chromedp.Run(tb.ctx, chromedp.CaptureScreenshot())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("../../docs/page.png", small(t, screenshot), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	end()
	tb.until(`!document.getElementById('lost').hidden`)
	if info, err := os.Stat("../../docs/page.png"); err != nil || info.Size() > maxScreenshot {
		t.Errorf("the screenshot of docs: %v, %v", info, err)
	}
}

// small returns a PNG image with the 256 colours that it has most of, compressed as far as
// that goes.
func small(t *testing.T, text []byte) []byte {
	t.Helper()
	pixels, err := png.Decode(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	area := pixels.Bounds()
	found := map[color.Color]int{}
	for y := range area.Max.Y {
		for x := range area.Max.X {
			found[pixels.At(x, y)]++
		}
	}
	all := slices.SortedFunc(maps.Keys(found), func(a, b color.Color) int { return found[b] - found[a] })
	few := image.NewPaletted(area, all[:min(256, len(all))])
	draw.Draw(few, area, pixels, area.Min, draw.Src)
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, few); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
