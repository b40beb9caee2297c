package plugin_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"kong-traffic-split/plugin"
)

// A client may send any bytes wherever it may send something. What the plugin makes of
// them reaches Kong whole: go-pdk, which encodes only UTF-8, is never given them.
func TestAClientMaySendAnyBytes(t *testing.T) {
	const (
		backends = `"backends":[` +
			`{"name":"a","host":"a.internal","host_header":"preserve","path":"/v2","request_headers":{"set":{"X-Is":"a"}}},` +
			`{"name":"b","upstream":"up","host_header":"preserve","path":"/v2","request_headers":{"add":{"X-Is":"b"}}},` +
			`{"name":"c","service":true}]`
		always = `"response_header":"X-Backend","log_decision":true,` +
			`"ramp":{"backend":"b","start":"2026-01-01T00:00:00Z","duration":1,"to":50,"guard":{"max_error_ratio":0.5}},` +
			`"session":{"secret":"sixteen letters!"},`
	)
	parts := map[string]string{
		"force":   `"force_header":"X-Force",`,
		"header":  `"hash_on":"header","hash_on_header":"X-User","hash_fallback":"ip",`,
		"cookie":  `"hash_on":"cookie","hash_on_cookie":"user","hash_fallback":"path",`,
		"query":   `"hash_on":"query_arg","hash_on_query_arg":"user","hash_fallback":"uri_capture","hash_fallback_uri_capture":"user",`,
		"matches": `"rules":[{"match":{"headers":{"X-Beta":["~."],"X-Team":["~."]},"cookies":{"beta":["~."]},"query_args":{"beta":["~."]},"path_prefix":"/a","methods":["GET"]},"backend":"b"}],`,
	}
	names := slices.Sorted(maps.Keys(parts))
	anything := rapid.OneOf(
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 12), func(b []byte) string { return string(b) }),
		rapid.SampledFrom([]string{"", "a", "\xff", "/\xff", "beta=\xff; user=\xfe", "user=\xff&beta=\xc3", "a\xffb", "https"}),
	)
	seen := map[string]bool{} // methods by which bytes that are not UTF-8 were told
	rapid.Check(t, func(t *rapid.T) {
		config := onRoute
		for _, part := range rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, 2, rapid.ID).Draw(t, "parts") {
			if !strings.Contains(config, "hash_on") || !strings.Contains(parts[part], "hash_on") {
				config += parts[part]
			}
		}
		i := start(t, plugin.New(options), config+always+backends)
		for range 3 {
			k := web()
			k.upstreams = []string{"up"}
			k.route["preserve_host"] = rapid.Bool().Draw(t, "preserve_host")
			k.host, k.uri = anything.Draw(t, "host"), anything.Draw(t, "uri")
			k.headers = map[string]string{}
			for _, name := range []string{"X-Force", "X-User", "X-Beta", "X-Team", "Origin"} {
				k.headers[name] = anything.Draw(t, name)
			}
			for _, method := range []string{"request.get_path", "request.get_raw_query", "request.get_forwarded_scheme", "cookies"} {
				k.text[method] = anything.Draw(t, method)
			}
			k.text["request.get_method"], k.text["client.get_forwarded_ip"] = "GET", "192.0.2.7"
			k.captures = map[string]string{"user": anything.Draw(t, "capture")}
			if err := k.access(t, i); err != nil {
				t.Fatal(err)
			}
			for _, call := range k.told {
				if method, _, _ := strings.Cut(call, " "); !utf8.ValidString(call) {
					seen[method] = true
				}
			}
			k.text["response.get_source"], k.status = "service", 200
			if err := k.run(t, "log", i); err != nil {
				t.Fatal(err)
			}
		}
	})
	for _, method := range []string{"service.request.set_header", "service.request.set_headers", "service.request.set_path"} {
		if !seen[method] {
			t.Errorf("no bytes that are not UTF-8 were told by %s, only by %v", method, slices.Sorted(maps.Keys(seen)))
		}
	}
}
