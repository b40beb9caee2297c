package admin

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kong-traffic-split/plugin/config"
)

// fake is an Admin API that answers with texts, by method and path.
func fake(t *testing.T, answers map[string]string) (*Client, *[]string) {
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		request := r.Method + " " + r.URL.RequestURI()
		asked = append(asked, strings.TrimSpace(request+" "+string(body)))
		if r.Header.Get("Kong-Admin-Token") != "open sesame" {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"message":"Invalid credentials. Token or User credentials required"}`)
			return
		}
		answer, ok := answers[request]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			answer = `{"message":"Not found"}`
		}
		if strings.HasPrefix(answer, "4") {
			var status int
			if _, err := fmt.Sscan(answer, &status); err != nil {
				t.Error(err)
			}
			w.WriteHeader(status)
			answer = answer[4:]
		}
		fmt.Fprint(w, answer)
	}))
	t.Cleanup(s.Close)
	return &Client{URL: strings.TrimPrefix(s.URL, "http://") + "/", Token: "open sesame"}, &asked
}

// A row is found by what people call it, whatever page it is on.
func TestFind(t *testing.T) {
	c, _ := fake(t, map[string]string{
		"GET /plugins?size=1000": `{"data":[
			{"id":"1","name":"traffic-split","instance_name":"one","route":{"id":"r1"}},
			{"id":"9","name":"key-auth","instance_name":"nine","route":{"id":"r2"}}],"next":"/plugins?offset=x"}`,
		"GET /plugins?offset=x": `{"data":[
			{"id":"2","name":"traffic-split","service":{"id":"s1"}},
			{"id":"3","name":"traffic-split","service":{"id":"s1"},"consumer":{"id":"c1"}}],"next":null}`,
		"GET /routes/shop":   `{"id":"r1"}`,
		"GET /services/shop": `{"id":"s1"}`,
		"GET /services/svc":  `{"id":"s1"}`,
		"GET /consumers/ann": `{"id":"c1"}`,
		"GET /routes/bare":   `{"id":"r2"}`,
	})
	for name, want := range map[string]string{
		"one": "1", "2": "2", "shop": "1", "ann": "3",
		"svc":    `there are 2 rows of the plugin traffic-split on "svc": give an instance_name or id of 2, 3`,
		"bare":   `there is no row of the plugin traffic-split that is called "bare", or is on a route, Service or consumer of that name; there are one, 2, 3`,
		"nine":   `there is no row of the plugin traffic-split that is called "nine", or is on a route, Service or consumer of that name; there are one, 2, 3`,
		"../../": `there is no row of the plugin traffic-split that is called "../../", or is on a route, Service or consumer of that name; there are one, 2, 3`,
	} {
		row, err := c.Find(t.Context(), "traffic-split", name)
		if err != nil && err.Error() != want || err == nil && row.ID != want {
			t.Errorf("%s: %v, %v; want %s", name, row, err, want)
		}
	}
	if _, err := c.Find(t.Context(), "other", "shop"); err == nil || err.Error() != "there is no row of the plugin other" {
		t.Error(err)
	}
}

// What is wrong with an answer is said, and the token is not.
func TestRefusals(t *testing.T) {
	c, _ := fake(t, map[string]string{
		"GET /config":      `400 {"message":"this endpoint is only available when Kong is configured to not use a database"}`,
		"GET /plugins/1":   `<html>`,
		"GET /plugins/2":   "403 go away",
		"PATCH /plugins/1": `400 {"name":"schema violation","message":"schema violation (config.backends: …)"}`,
	})
	if _, ok, err := c.Declarative(t.Context()); ok || err != nil {
		t.Errorf("%v, %v: it has a database", ok, err)
	}
	for id, want := range map[string]string{
		"1": "GET /plugins/1 is not answered by Kong's Admin API: invalid character '<' looking for beginning of value",
		"2": "Kong answers with 403",
		"3": "Kong answers with 404: Not found",
	} {
		if _, err := c.Row(t.Context(), id); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", id, err, want)
		}
	}
	if _, err := c.Patch(t.Context(), "1", nil); err == nil || err.Error() != "Kong answers with 400: schema violation (config.backends: …)" {
		t.Error(err)
	}
	c.Token = "wrong"
	if _, err := c.Row(t.Context(), "1"); err == nil || err.Error() != "Kong answers with 401: Invalid credentials. Token or User credentials required" {
		t.Error(err)
	}
}

// Only the keys that change go out, and arrays as a whole.
func TestMerge(t *testing.T) {
	tree, err := config.ParseKong([]byte(`{"backends":[{"host":"a","weight":1},{"host":"b","weight":2}],"session":{"secret":"hush","generation":1},"ramp":{"backend":"b","hold":5,"plan":[{"share":5},{"share":9}],"guard":{"window":5}}}`))
	if err != nil {
		t.Fatal(err)
	}
	edit := func(value *config.Node, path ...any) config.Edit { return config.Edit{Path: path, Value: value} }
	for _, test := range []struct {
		edits []config.Edit
		want  string
	}{
		{[]config.Edit{edit(config.Int(7), "backends", 1, "weight"), edit(config.Int(8), "backends", 0, "weight")}, `{"backends":[{"host":"a","weight":8},{"host":"b","weight":7}]}`},
		{[]config.Edit{edit(config.Int(2), "session", "generation"), edit(nil, "ramp", "hold")}, `{"ramp":{"hold":null},"session":{"generation":2}}`},
		{[]config.Edit{edit(config.Int(2), "ramp", "plan", 0, "for"), edit(config.Text("now"), "ramp", "start")}, `{"ramp":{"plan":[{"share":5,"for":2},{"share":9}],"start":"now"}}`},
		{[]config.Edit{edit(config.Float(0.5), "ramp", "guard", "max_error_ratio")}, `{"ramp":{"guard":{"max_error_ratio":0.5}}}`},
		{[]config.Edit{edit(nil, "ramp")}, `{"ramp":null}`},
	} {
		after, err := config.Apply(tree, test.edits...)
		if err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(Merge(after, test.edits))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, string(got)); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	}
}

// A configuration is posted as a text, by whose hash Kong knows it.
func TestDeclarative(t *testing.T) {
	c, asked := fake(t, map[string]string{
		"GET /config": `{"config":"a: 1\n"}`, "POST /config": `{"plugins":{}}`,
		"GET /status": `{"configuration_hash":"` + HashOf("a: 2\n") + `"}`,
	})
	text, ok, err := c.Declarative(t.Context())
	if text != "a: 1\n" || !ok || err != nil {
		t.Errorf("%q, %v, %v", text, ok, err)
	}
	if err := c.Post(t.Context(), "a: 2\n"); err != nil {
		t.Error(err)
	}
	if hash, err := c.Hash(t.Context()); hash != HashOf("a: 2\n") || err != nil {
		t.Errorf("%q, %v", hash, err)
	}
	if diff := cmp.Diff([]string{"GET /config", `POST /config {"config":"a: 2\n"}`, "GET /status"}, *asked); diff != "" {
		t.Error(diff)
	}
}

// The token goes to no other host than the one that is named.
func TestNextPageElsewhere(t *testing.T) {
	c, _ := fake(t, map[string]string{"GET /plugins?size=1000": `{"data":[],"next":"@example.com/plugins"}`})
	const want = `the next page of plugins is "@example.com/plugins", which is no path of the Admin API's`
	if _, err := c.Find(t.Context(), "traffic-split", "shop"); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// Pages that never end are read to an end.
func TestPagesWithoutEnd(t *testing.T) {
	c, asked := fake(t, map[string]string{
		"GET /plugins?size=1000": `{"data":[],"next":"/plugins?offset=a"}`,
		"GET /plugins?offset=a":  `{"data":[],"next":"/plugins?offset=b"}`,
		"GET /plugins?offset=b":  `{"data":[],"next":"/plugins?offset=a"}`,
	})
	const again = `the pages of plugins have no end: "/plugins?offset=a" comes again as the next one; is there a proxy or a cache before the Admin API?`
	if _, err := c.Find(t.Context(), "traffic-split", "shop"); err == nil || err.Error() != again {
		t.Errorf("%v, want %s", err, again)
	}
	if len(*asked) != 3 {
		t.Errorf("it is asked %d times", len(*asked))
	}

	pages := map[string]string{"GET /plugins?size=1000": `{"data":[],"next":"/plugins?offset=0"}`}
	for i := range maxPages {
		pages[fmt.Sprint("GET /plugins?offset=", i)] = fmt.Sprintf(`{"data":[],"next":"/plugins?offset=%d"}`, i+1)
	}
	c, asked = fake(t, pages)
	const many = "there are more than 1000 pages of plugins, the most that are read"
	if _, err := c.Find(t.Context(), "traffic-split", "shop"); err == nil || err.Error() != many {
		t.Errorf("%v, want %s", err, many)
	}
	if len(*asked) != maxPages {
		t.Errorf("it is asked %d times", len(*asked))
	}
}

// In what order Kong writes keys is no change.
func TestSame(t *testing.T) {
	row := Row{UpdatedAt: 1, Config: json.RawMessage(`{"a":1,"b":{"c":[1,2],"d":null}}`)}
	for config, want := range map[string]bool{
		`{"b":{"d":null,"c":[1,2]},"a":1}`: true,
		`{"a":1,"b":{"c":[2,1],"d":null}}`: false,
		`{"a":1}`:                          false,
		``:                                 false,
	} {
		if got := row.Same(&Row{UpdatedAt: 1, Config: json.RawMessage(config)}); got != want {
			t.Errorf("%s: %v", config, got)
		}
	}
	if row.Same(&Row{UpdatedAt: 2, Config: row.Config}) {
		t.Error("written since")
	}
}
