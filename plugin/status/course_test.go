package status

import (
	"testing"
	"time"

	"kong-traffic-split/plugin"
)

// A course of an hour is drawn in 1000 units with 45.45 before it and after it.
func TestCourse(t *testing.T) {
	at := func(minutes int, share float64) plugin.RampPoint {
		return plugin.RampPoint{At: noon.Add(time.Duration(minutes) * time.Minute), Share: share}
	}
	plan := []plugin.RampPoint{at(0, 0.1), at(30, 0.2), at(60, 0.5)}
	even := []plugin.RampPoint{at(0, 0), at(60, 1)}
	const stairs, slope = "M0 100.0H45.5V80.0H500.0V60.0H954.5V0.0H1000.0", "M0 100.0L45.5 100.0L954.5 0.0H1000.0"
	for name, test := range map[string]struct {
		ramp plugin.RampStatus
		now  int // in minutes
		want courseView
	}{
		"before":     {plugin.RampStatus{Course: plan, Steps: 3}, -60, courseView{Plan: stairs, Now: "0%", At: "100%"}},
		"first step": {plugin.RampStatus{Course: plan, Steps: 3, Share: 0.1}, 15, courseView{Plan: stairs, Done: "M0 100.0H45.5V80.0H272.7", Now: "27.27%", At: "80%"}},
		"after":      {plugin.RampStatus{Course: plan, Steps: 3, Share: 0.5}, 600, courseView{Plan: stairs, Done: stairs, Now: "100%", At: "0%"}},
		"held":       {plugin.RampStatus{Course: plan, Steps: 3, Share: 0.1, Held: true}, 45, courseView{Plan: stairs, Now: "72.73%", At: "80%"}},
		"fallen": {
			plugin.RampStatus{Course: plan, Steps: 3, RolledBack: noon.Add(30 * time.Minute)},
			45,
			courseView{Plan: stairs, Done: "M0 100.0H45.5V80.0H500.0V60.0H500.0V100.0H727.3", Now: "72.73%", At: "100%", Fallen: true},
		},
		"evenly":  {plugin.RampStatus{Course: even, Share: 0.25}, 15, courseView{Plan: slope, Done: "M0 100.0L45.5 100.0L272.7 75.0H272.7", Now: "27.27%", At: "75%"}},
		"at once": {plugin.RampStatus{Course: []plugin.RampPoint{at(0, 0.1)}, Steps: 1}, 0, courseView{Plan: "M0 100.0H500.0V0.0H1000.0", Done: "M0 100.0H500.0V0.0H500.0", Now: "50%", At: "100%"}},
	} {
		got := viewCourse(&test.ramp, noon.Add(time.Duration(test.now)*time.Minute))
		if len(got.Points) != len(test.ramp.Course) {
			t.Errorf("%s: %d points are listed", name, len(got.Points))
		}
		got.Points, got.Top = nil, ""
		if got.Plan != test.want.Plan || got.Done != test.want.Done || got.Now != test.want.Now || got.At != test.want.At || got.Fallen != test.want.Fallen {
			t.Errorf("%s: got %+v, want %+v", name, *got, test.want)
		}
	}
	if viewCourse(&plugin.RampStatus{}, noon) != nil {
		t.Error("a course of no points is drawn")
	}
}

// However many points there are, the drawing and the list are bounded, and end where the
// course does.
func TestCourseOfManyPoints(t *testing.T) {
	r := plugin.RampStatus{Steps: 10000}
	for i := range r.Steps {
		r.Course = append(r.Course, plugin.RampPoint{At: noon.Add(time.Duration(i) * time.Second), Share: float64(i+1) / 10000})
	}
	c := viewCourse(&r, noon)
	if len(c.Plan) > 30*maxDrawn || len(c.Points) != maxPoints || c.More != 10000-maxPoints {
		t.Errorf("%d bytes, %d points and %d more", len(c.Plan), len(c.Points), c.More)
	}
	if end := newDrawing(&r).points; end[len(end)-1] != r.Course[9999] {
		t.Errorf("it ends at %v", end[len(end)-1])
	}
}
