package check

import (
	"slices"

	"kong-traffic-split/plugin/config"
)

var healthIdle = &Check{
	ID: "health-idle", Severity: Warning,
	Doc: "`max_ejected` in a split in which no backend has `health`, or `on_unavailable` in one in which no backend can be unavailable, as none has `health` or is an Upstream: it has no effect.",
	split: func(u *use, r report) {
		checked := slices.ContainsFunc(u.Backends, func(b config.Backend) bool { return b.Health != nil })
		upstream := slices.ContainsFunc(u.Backends, func(b config.Backend) bool { return b.Upstream != "" })
		if u.MaxEjected != nil && !checked && u.says("max_ejected") {
			r(at("max_ejected"), "has no effect, as no backend has health, by which it would be ejected: add health to the backends, or leave max_ejected out")
		}
		if len(u.Backends) > 0 && u.OnUnavailable != "fail" && !checked && !upstream && u.says("on_unavailable") {
			r(at("on_unavailable"), "has no effect, as no backend is ever found unavailable: add health to the backends, write retry for another backend where a request fails, or leave on_unavailable out")
		}
	},
}

// says reports whether a split has a key itself, and not from the defaults of its file, where
// it may be for others.
func (u *use) says(key string) bool { return walk(u.tree, append(slices.Clip(u.place), key)) != nil }
