package simulate

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
)

// The drawing, in pixels.
const (
	svgWidth   = 860
	plotLeft   = 60
	plotTop    = 56
	plotWidth  = 600
	plotHeight = 300
	legendLeft = plotLeft + plotWidth + 24
	legendStep = 18
	svgEvents  = 3 // with a sentence below
)

// colors are those of M. Okabe and K. Ito, which colour-blind people can distinguish.
// Lines beyond these are dashed.
var (
	colors = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000"}
	dashes = []string{"", "7 3", "2 3", "9 3 2 3"}
)

// WriteSVG writes an image of the backends' shares over the time: a line for each, in
// front of the ramp's. It refers to no other file.
func (r *Result) WriteSVG(to io.Writer, name string) error {
	w := &drawing{Writer: bufio.NewWriter(to)}
	height := max(plotTop+plotHeight+44+legendStep*min(len(r.Events), svgEvents), plotTop+legendStep*(len(r.Backends)+2))
	w.printf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12" fill="#222">`,
		svgWidth, height, svgWidth, height)
	w.printf(`<title>%s</title>`, escape(name+": shares of the requests over time"))
	w.printf(`<rect width="100%%" height="100%%" fill="#fff"/>`)
	w.text(plotLeft, 22, `font-size="15" font-weight="bold"`, shorten(name, 80))
	about := fmt.Sprintf("%d requests in %s, share of each backend", r.Requests, r.For)
	if r.Waits != "" {
		about += "; " + r.Waits
	}
	w.text(plotLeft, 40, `fill="#666"`, about)
	r.drawAxes(w)
	if r.Ramp >= 0 {
		w.line(r, func(p *Point) float64 { return p.Ramp() }, `stroke="#bbb" stroke-width="6" stroke-opacity="0.7"`)
	}
	for i, backend := range r.Backends {
		style := stroke(i)
		w.line(r, func(p *Point) float64 { return p.share(i) }, style)
		y := plotTop + 6 + legendStep*i
		w.printf(`<path d="M%d %dh22" fill="none" %s/>`, legendLeft, y, style)
		w.text(legendLeft+28, y+4, "", shorten(fmt.Sprintf("%s (%d)", backend, r.Counts[i]), 22))
	}
	if r.Ramp >= 0 {
		y := plotTop + 6 + legendStep*len(r.Backends)
		w.printf(`<path d="M%d %dh22" fill="none" stroke="#bbb" stroke-width="6" stroke-opacity="0.7"/>`, legendLeft, y)
		w.text(legendLeft+28, y+4, "", "as the ramp has it")
	}
	r.drawEvents(w)
	w.printf(`</svg>`)
	return w.Flush()
}

// drawing writes the elements of an image. Flush returns its errors.
type drawing struct{ *bufio.Writer }

func (w *drawing) printf(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

func (w *drawing) text(x, y int, attributes, text string) {
	w.printf(`<text x="%d" y="%d" %s>%s</text>`, x, y, attributes, escape(text))
}

// line draws a share over the time. Each of its points is in the middle of its part.
func (w *drawing) line(r *Result, share func(*Point) float64, style string) {
	var points []string
	for i := range r.Points {
		x := plotLeft + plotWidth*(float64(i)+0.5)/float64(len(r.Points))
		y := plotTop + plotHeight*(1-share(&r.Points[i]))
		points = append(points, fmt.Sprintf("%.1f,%.1f", x, y))
	}
	w.printf(`<polyline fill="none" %s points="%s"/>`, style, strings.Join(points, " "))
}

// drawAxes draws a grid with its labels.
func (r *Result) drawAxes(w *drawing) {
	for i := 0; i <= 4; i++ {
		y := plotTop + plotHeight - plotHeight*i/4
		w.printf(`<path d="M%d %dh%d" stroke="#e4e4e4"/>`, plotLeft, y, plotWidth)
		w.text(plotLeft-8, y+4, `text-anchor="end" fill="#666"`, fmt.Sprintf("%d %%", 25*i))
	}
	w.printf(`<path d="M%d %dv%dh%d" fill="none" stroke="#666"/>`, plotLeft, plotTop, plotHeight, plotWidth)
	for i, anchor := range []string{"start", "middle", "end"} {
		at := r.From.Add(r.For / 2 * time.Duration(i))
		w.printf(`<path d="M%d %dv5" stroke="#666"/>`, plotLeft+plotWidth*i/2, plotTop+plotHeight)
		w.text(plotLeft+plotWidth*i/2, plotTop+plotHeight+20, fmt.Sprintf(`text-anchor="%s" fill="#666"`, anchor), r.clock(at))
	}
}

// drawEvents marks the times of events, and writes the first ones below.
func (r *Result) drawEvents(w *drawing) {
	for i, e := range r.Events {
		if i < svgEvents {
			w.text(plotLeft, plotTop+plotHeight+44+legendStep*i, `fill="#b00"`, r.clock(e.At)+"  "+e.Text)
		}
		x := plotLeft + plotWidth*float64(e.At.Sub(r.From))/float64(r.For)
		w.printf(`<path d="M%.1f %dv%d" stroke="#b00" stroke-dasharray="3 3"><title>%s</title></path>`,
			x, plotTop, plotHeight, escape(r.clock(e.At)+" "+e.Text))
	}
}

func stroke(i int) string {
	style := fmt.Sprintf(`stroke="%s" stroke-width="2"`, colors[i%len(colors)])
	if dash := dashes[i/len(colors)%len(dashes)]; dash != "" {
		style += fmt.Sprintf(` stroke-dasharray="%s"`, dash)
	}
	return style
}

// escape escapes a text for XML.
func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder takes everything
	return b.String()
}
