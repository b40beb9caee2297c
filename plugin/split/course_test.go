package split_test

import (
	"testing"
	"time"

	"kong-traffic-split/plugin/split"

	"pgregory.net/rapid"
)

// The course of a ramp in steps has each share from the moment on at which it begins.
func TestCourse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		share := rapid.IntRange(0, 10000)
		seconds := rapid.IntRange(1, 10000)
		r := split.Ramp{Start: time.Unix(1000, 0), From: share.Draw(t, "from"), To: share.Draw(t, "to")}
		if rapid.Bool().Draw(t, "plan") {
			for range rapid.IntRange(1, split.MaxPlan).Draw(t, "steps of the plan") {
				stays := rapid.IntRange(0, 20).Draw(t, "stays") == 0
				step := split.PlanStep{Share: share.Draw(t, "share")}
				if !stays {
					step.For = time.Duration(seconds.Draw(t, "for")) * time.Second
				}
				r.Plan = append(r.Plan, step)
			}
		} else {
			r.Duration = time.Duration(seconds.Draw(t, "duration")) * time.Second
			r.Steps = rapid.IntRange(0, 10000).Draw(t, "steps")
		}
		points := r.Course()
		if len(points) > 102 || points[0].After != 0 {
			t.Fatalf("%d points from %v on", len(points), points[0].After)
		}
		for i, p := range points {
			if got := r.ShareAt(r.Start.Add(p.After)); got != p.Share {
				t.Errorf("the share %v after the start is %d, and the course has %d", p.After, got, p.Share)
			}
			stepped := len(r.Plan) > 0 || r.Steps > 0 && r.Steps <= 100
			if stepped && i > 0 {
				if got := r.ShareAt(r.Start.Add(p.After - 1)); got != points[i-1].Share {
					t.Errorf("the share until %v after the start is %d, and the course has %d", p.After, got, points[i-1].Share)
				}
			}
		}
		if last := points[len(points)-1]; last.Share != r.ShareAt(r.Start.Add(1000*time.Hour)) {
			t.Errorf("the course ends with %d, and the ramp does not", last.Share)
		}
	})
}
