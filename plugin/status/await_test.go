package status

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Who waits for a server to use a revision is told what it does instead.
func TestAwait(t *testing.T) {
	for _, test := range []struct{ answer, want string }{
		{`{"version":"1","splits":[{"split":"blog","revision":"b"},{"split":"shop","revision":"new"}]}`, ""},
		{`{"version":"1","splits":[{"split":"shop","revision":"old"}]}`, "uses revision old of shop, not yet new"},
		{`{"version":"1","splits":[{"split":"mine","id":"shop","revision":"old"}]}`, "uses revision old of mine, not yet new; Kong gives it the config of a row with the next request"},
		{`{"version":"1","splits":[]}`, "does not use shop; a row of Kong's is used from the first request on that Kong gives it"},
		{`{"version":"1","splits":[{"split":"blog","revision":"new"}]}`, "does not use shop; a row of Kong's is used from the first request on that Kong gives it; it uses blog"},
		{`{"version":"2","splits":[{"split":"shop","revision":"old"}]}`, "uses revision old of shop, not yet new\nit is version 2 and this is 1, whose revisions may differ for the same config"},
		{
			`{"version":"1","splits":[{"split":"shop","revision":"old"}],"split_files":{"problems":["a.yaml:1:2: no"]},"config_errors":[{"split":"shop","error":"weight: no"}]}`,
			"uses revision old of shop, not yet new\nits split files are wrong:\n  a.yaml:1:2: no\nit refuses the config: weight: no",
		},
		{`<html>`, "GET /status is not answered by a plugin server: invalid character '<' looking for beginning of value"},
		{"404", "GET /status is answered with 404 Not Found"},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if test.answer == "404" || r.Method != http.MethodGet || r.URL.Path != "/status" {
				http.NotFound(w, r)
				return
			}
			fmt.Fprint(w, test.answer)
		}))
		over, cancel := context.WithCancel(t.Context())
		cancel()
		address := strings.TrimPrefix(s.URL, "http://")
		err := Await(over, address, "shop", "new", "1")
		s.Close()
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", test.answer, err)
		case test.want != "" && (err == nil || err.Error() != address+": "+test.want):
			t.Errorf("%s:\n got %v\nwant %s: %s", test.answer, err, address, test.want)
		}
	}
}

// The server may use it later.
func TestAwaitAsksAgain(t *testing.T) {
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		revision := "old"
		if asked++; asked == 3 {
			revision = "new"
		}
		fmt.Fprintf(w, `{"version":"1","splits":[{"split":"shop","revision":%q}]}`, revision)
	}))
	defer s.Close()
	if err := Await(t.Context(), s.URL+"/", "shop", "new", "1"); err != nil || asked != 3 {
		t.Errorf("%v after %d answers", err, asked)
	}
}

func TestURL(t *testing.T) {
	for address, want := range map[string]string{
		":8007": "http://localhost:8007/status", "127.0.0.1:8007": "http://127.0.0.1:8007/status", "[::1]:8007": "http://[::1]:8007/status",
		"https://split.example.com/": "https://split.example.com/status", "http://a:1": "http://a:1/status",
	} {
		if got := URL(address, "/status"); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}
