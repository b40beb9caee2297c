package status

import (
	"testing"

	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/mirror"
)

func TestShadowText(t *testing.T) {
	for _, tt := range []struct {
		of   plugin.MirrorStatus
		want string
	}{
		{plugin.MirrorStatus{Shadow: "next", Percent: 100. / 3}, "next: 33.3 % of the requests; copies: 0"},
		{
			plugin.MirrorStatus{
				Shadow: "c:80", Percent: 100, Sources: []string{"a", "b"},
				Copies:   map[string]uint64{"2xx": 1234, "5xx": 0, "no_answer": 2},
				Uncopied: map[mirror.Drop]uint64{mirror.QueueFull: 3, mirror.Closed: 0, mirror.Invalid: 1},
				Compared: &plugin.Compared{Same: 7, Differing: 3},
			},
			"c:80: 100 % of the requests to a, b; copies: 1,236 (1,234 2xx, 2 without an answer); answers of another class than the backend's: 3 of 10; not copied: invalid 1, queue_full 3",
		},
	} {
		if got := shadowText(&tt.of); got != tt.want {
			t.Errorf("got\n%s\nwant\n%s", got, tt.want)
		}
	}
}
