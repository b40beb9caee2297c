package status

import (
	"fmt"
	"strings"
	"time"

	"kong-traffic-split/plugin"
)

const (
	// courseWidth and courseHeight are the units in which a course is drawn. The browser
	// stretches it to its place.
	courseWidth, courseHeight = 1000.0, 100.0
	// courseMargin is the part of a ramp's time that is shown before it and after it.
	courseMargin = 0.05
	// maxPoints is how many points of a course are listed, maxDrawn how many are drawn.
	maxPoints, maxDrawn = 50, 500
)

// courseView is the course of a ramp: its share over the time, with the present moment.
type courseView struct {
	Plan, Done string // paths: of all of it by the clock, and of what was; empty: nothing was, or it is not known
	Now, At    string // where the present moment and share are, as lengths
	Fallen     bool   // the share is not what the clock says, as it was rolled back
	Top        string // the share at the upper edge
	Points     []pointView
	More       int // that are not listed
}

type pointView struct {
	Share string
	At    Moment
	Past  bool
}

// viewCourse draws a ramp's course; nil: there is nothing to draw.
func viewCourse(r *plugin.RampStatus, now time.Time) *courseView {
	if len(r.Course) == 0 {
		return nil
	}
	d := newDrawing(r)
	v := &courseView{
		Plan: d.line(d.end), Fallen: !r.RolledBack.IsZero(), Top: percentage(d.top),
		Now: length(d.x(now) / courseWidth), At: length(d.y(r.Share) / courseHeight),
	}
	switch {
	case r.Held: // since when is not known
	case v.Fallen:
		v.Done = d.line(r.RolledBack) + fmt.Sprintf("V%.1fH%.1f", d.y(r.Share), d.x(now))
	case now.After(d.begin):
		v.Done = d.line(now)
	}
	for _, p := range r.Course[:min(maxPoints, len(r.Course))] {
		v.Points = append(v.Points, pointView{percentage(p.Share), Moment{p.At, now}, !p.At.After(now)})
	}
	v.More = len(r.Course) - len(v.Points)
	return v
}

// drawing maps times and shares to the units of an image.
type drawing struct {
	points     []plugin.RampPoint
	from, top  float64
	begin, end time.Time
	stairs     bool // the share stays until the next point
}

func newDrawing(r *plugin.RampStatus) drawing {
	d := drawing{from: r.From, stairs: r.Steps > 0}
	every := (len(r.Course) + maxDrawn - 1) / maxDrawn
	highest := max(r.From, r.Share)
	for i, p := range r.Course {
		if i%every == 0 || i == len(r.Course)-1 {
			d.points = append(d.points, p)
		}
		highest = max(highest, p.Share)
	}
	d.top = scaleOf(highest)
	first, last := d.points[0].At, d.points[len(d.points)-1].At
	margin := time.Duration(courseMargin * float64(max(last.Sub(first), time.Minute)))
	d.begin, d.end = first.Add(-margin), last.Add(margin)
	return d
}

// x returns where a time is. One before or after the drawing is at its edge.
func (d *drawing) x(at time.Time) float64 {
	part := float64(at.Sub(d.begin)) / float64(d.end.Sub(d.begin))
	return courseWidth * min(max(part, 0), 1)
}

func (d *drawing) y(share float64) float64 { return courseHeight * (1 - share/d.top) }

// line returns the path of the share by the clock until a time.
func (d *drawing) line(until time.Time) string {
	var path strings.Builder
	fmt.Fprintf(&path, "M0 %.1f", d.y(d.from))
	before := plugin.RampPoint{At: d.begin, Share: d.from}
	for _, p := range d.points {
		if p.At.After(until) {
			if !d.stairs && before.At != d.begin {
				part := float64(until.Sub(before.At)) / float64(p.At.Sub(before.At))
				fmt.Fprintf(&path, "L%.1f %.1f", d.x(until), d.y(before.Share+part*(p.Share-before.Share)))
			}
			break
		}
		if d.stairs {
			fmt.Fprintf(&path, "H%.1fV%.1f", d.x(p.At), d.y(p.Share))
		} else {
			fmt.Fprintf(&path, "L%.1f %.1f", d.x(p.At), d.y(p.Share))
		}
		before = p
	}
	fmt.Fprintf(&path, "H%.1f", d.x(until))
	return path.String()
}
