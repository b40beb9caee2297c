package plugin

import "testing"

// What Kong 3.9.3 sends to a Service with that path, for a request that leaves nothing
// of itself: spec/testdata/as-a-service.txtar compares more.
func TestServicePath(t *testing.T) {
	for _, tt := range []struct{ path, asked, want string }{
		{"/v2", "/backend", "/v2"},
		{"/v2", "/backend/", "/v2/"},
		{"/v2", "/", "/v2"},
		{"/v2/", "/backend", "/v2"},
		{"/v2/", "/backend/", "/v2/"},
		{"/v2/", "/", "/v2/"},
		{"/", "/backend", "/"},
		{"/", "/backend/", "/"},
		{"/", "/", "/"},
		{"/a/b", "", "/a/b"},
	} {
		if got := servicePath(tt.path, tt.asked); got != tt.want {
			t.Errorf("path %q, asked for %q: %q, not %q", tt.path, tt.asked, got, tt.want)
		}
	}
}
