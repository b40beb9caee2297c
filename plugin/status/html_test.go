package status

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"pgregory.net/rapid"

	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/health"
	"kong-traffic-split/plugin/split"
)

var (
	tag    = regexp.MustCompile(`</?[a-zA-Z][^\s>]*`)
	script = regexp.MustCompile(`(?s)<(script|style)>.*?</(script|style)>`)
)

// readable returns the texts of a document, as a reader has them who sees no images.
func readable(document string) string {
	document = script.ReplaceAllString(document, "")
	text := html.UnescapeString(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(document, " "))
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), " )", ")")
}

// Without a script the page says all that there is to say.
func TestPageInWords(t *testing.T) {
	s := source()
	s.Started = noon
	s.Changes = func() []Change {
		return []Change{{noon, "p1", "a weight has changed backend=canary weight=10->20", false}, {At: noon, Text: "disk full", Wrong: true}}
	}
	w := get(t, s, io.Discard, "GET", "/")
	text := readable(w.Body.String())
	for _, want := range []string{
		"What is wrong the split files are wrong, and the last good ones are in use: splits.yaml:1:1: wrong the config of p1 is wrong",
		"shop: canary is ejected until 2026-11-01T12:01:00Z",
		"shop ✕ 3 wrong canary rolled back to 25 %",
		"stable 75 %",
		"ejected until 2026-11-01 12:01 UTC",
		"since 2026-11-01 12:00 UTC", "by probes of http://10.0.0.1:80/: no answer within 1s",
		"Ramp of canary , from 0 % to 50 %",
		"Rolled back to 25 % at 2026-11-01 12:00 UTC",
		"too many failed. It stays there until the ramp's start or plan is changed.",
		"The guard has seen 3 of 18 requests fail, and a latency of 250 ms. It judges from 20 on, so not yet.",
		"5 requests in all that no backend could take.",
		"Kong tells no outcomes since 2026-11-01T12:00:00Z",
		"disk full",
		"shop : a weight has changed backend=canary weight=10->20",
		"6 in flight of at most 6, 57 waiting; 3 failed for want of files or memory",
		"1.2.3, built from 0123abc",
		"2 processes have died and 1 hung, the last one at 2026-11-01 12:00 UTC", "lacks 7 lines, the last one at 2026-11-01 12:00 UTC",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if !strings.Contains(w.Body.String(), `<noscript><meta http-equiv="refresh" content="5"></noscript>`) {
		t.Error("without a script the page stays as it is")
	}
	if t.Failed() {
		t.Log(text)
	}
}

// Where there is no split, the page says how to get one.
func TestPageWithoutSplits(t *testing.T) {
	s := Source{Splits: func(time.Time) []plugin.SplitStatus { return nil }}
	text := readable(get(t, s, io.Discard, "GET", "/").Body.String())
	for _, want := range []string{"Nothing is wrong.", "No split is in use yet.", "splitctl demo", "None since this process began."} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q: %s", want, text)
		}
	}
}

// The policy allows the document its own style and script, and nothing else; and it needs
// nothing else.
func TestPolicy(t *testing.T) {
	w := get(t, source(), io.Discard, "GET", "/")
	policy := w.Header().Get("Content-Security-Policy")
	document := w.Body.String()
	for element, directive := range map[string]string{"style": "style-src", "script": "script-src"} {
		texts := regexp.MustCompile("(?s)<"+element+">(.*?)</"+element+">").FindAllStringSubmatch(document, -1)
		if len(texts) != 1 {
			t.Fatalf("there are %d elements %s", len(texts), element)
		}
		sum := sha256.Sum256([]byte(texts[0][1]))
		if want := directive + " 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(policy, want) {
			t.Errorf("the policy %s lacks %s", policy, want)
		}
	}
	for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy %s lacks %s", policy, want)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("the policy is %s", policy)
	}
	if found := regexp.MustCompile(`\s(style|on\w+)=|(src|href|action)="(https?:)?//`).FindString(document); found != "" {
		t.Errorf("the document has %q, which the policy forbids", found)
	}
}

func TestHeaders(t *testing.T) {
	for _, path := range []string{"/", "/events", "/status", "/metrics", "/nothing"} {
		w := get(t, source(), io.Discard, "HEAD", path)
		for key, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
			"Cross-Origin-Resource-Policy": "same-origin", "Content-Security-Policy": pagePolicy,
		} {
			if got := w.Header().Get(key); got != want {
				t.Errorf("%s: %s is %q, want %q", path, key, got, want)
			}
		}
	}
	for path, want := range map[string]string{"/": "text/html; charset=utf-8", "/events": "text/event-stream"} {
		if got := get(t, source(), io.Discard, "HEAD", path).Header().Get("Content-Type"); got != want {
			t.Errorf("%s is of type %q", path, got)
		}
	}
}

// called returns a report in which every text is that one.
func called(text string) *Report {
	r := &Report{
		Version: text, Commit: text, Now: noon, Started: noon, Wrong: []string{text},
		SplitFiles:   &SplitFiles{Problems: []string{text}},
		State:        &SavedState{Path: text, Problem: text},
		ConfigErrors: []plugin.ConfigError{{Split: text, Error: text, InUse: text}},
		Changes:      []Change{{noon, text + "x", text, true}}, // a change of no split has no name
		Splits: []plugin.SplitStatus{{
			Split: text, ID: text + "x", Revision: text, Since: noon, OutcomesMissing: noon, Recent: &plugin.Recent{},
			Ramp: &plugin.RampStatus{
				Backend: text, Steps: 2, Step: 1, WaitsFor: text + "x", RollbackBlocked: noon,
				Course: []plugin.RampPoint{{At: noon}, {At: noon.Add(time.Hour), Share: 1}},
				Guard:  &plugin.GuardStatus{Lacks: split.Lack(text + "x")},
			},
			Backends: []plugin.BackendStatus{
				{Name: text, Up: new(false), Probe: &health.Condition{Target: text + "x", LastError: text}, Requests: map[split.Reason]uint64{split.Reason(text): 1}, Outcomes: &plugin.Outcomes{}, Recent: &plugin.RecentBackend{}},
				{Name: text, Up: new(false), EjectedUntil: noon, Kept: true},
				{Name: text, Up: new(true), SlowStart: &plugin.SlowStartStatus{}},
			},
		}},
	}
	r.Wrong = append(r.Wrong, r.wrong()...)
	return r
}

// Whatever names, errors and versions are, they are text, and no character does anything.
func TestTextIsText(t *testing.T) {
	plain := tag.FindAllString(document(sections(called("shop")), "shop"), -1)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(
			rapid.String(), rapid.SampledFrom([]string{
				`<img src=x onerror="alert(1)">`, `"><script>alert(1)</script>`, `' onload='x`, "</script>", "</style>", "-->", "{{.}}", "javascript:alert(1)",
				"\u202eabc\u2066", "a\x00\x1b[2J\r\n\ndata: x\u2028", "\xff\xfe", strings.Repeat("x", 300),
			}),
		).Filter(func(text string) bool { return text != "" }).Draw(t, "text")
		all := sections(called(text))
		got := document(all, text)
		if tags := tag.FindAllString(got, -1); fmt.Sprint(tags) != fmt.Sprint(plain) {
			t.Errorf("%q makes other elements: %s", text, got)
		}
		for _, r := range got {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Errorf("%q brings in %q", text, r)
			}
		}
		for line := range strings.Lines(string(newEvent("report", all).plain())) {
			if line != "\n" && line != "event: report\n" && !strings.HasPrefix(line, "data: ") {
				t.Errorf("%q brings in the line %q", text, line)
			}
		}
	})
}

// Elements have names of their own, however much splits and sentences are alike.
func TestElementsHaveNames(t *testing.T) {
	r := called("a")
	r.Splits = append(r.Splits, plugin.SplitStatus{Split: "a"}, plugin.SplitStatus{Split: "a: b"}, plugin.SplitStatus{Split: "a", ID: "b"}, plugin.SplitStatus{Split: "ab"})
	r.Wrong = []string{"a", "b", "a b", "a"}
	seen := map[string]bool{}
	for _, id := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(document(sections(r), ""), -1) {
		if seen[id[1]] || strings.ContainsFunc(id[1], unicode.IsSpace) {
			t.Errorf("there are two elements %q", id[1])
		}
		seen[id[1]] = true
	}
}

// The page is bounded. What is wrong is on it, whatever else is not.
func TestPageIsBounded(t *testing.T) {
	r := &Report{Now: noon}
	for i := range 3 * maxSplits {
		r.Splits = append(r.Splits, plugin.SplitStatus{Split: fmt.Sprintf("s%d", i), Backends: make([]plugin.BackendStatus, 1)})
	}
	r.Splits[3*maxSplits-1].Backends[0].Up = new(false)
	r.Wrong = r.wrong()
	for range maxWrong {
		r.Wrong = append(r.Wrong, fmt.Sprint("problem ", len(r.Wrong)))
	}
	v := newView(r)
	if len(v.Splits) != maxSplits || v.Left != 2*maxSplits || v.Splits[0].Name != r.Splits[3*maxSplits-1].Split || len(v.Wrong) != maxWrong || v.More != 1 {
		t.Errorf("%d splits, the first is %s, %d are left; %d are wrong and %d more", len(v.Splits), v.Splits[0].Name, v.Left, len(v.Wrong), v.More)
	}
	if v.Title() != "51 wrong · traffic-split" {
		t.Errorf("the title is %q", v.Title())
	}
	for i := range r.Splits {
		r.Splits[i].Backends = make([]plugin.BackendStatus, 64)
	}
	if v := newView(r); len(v.Splits) != maxBackends/64 {
		t.Errorf("%d splits of 64 backends", len(v.Splits))
	}
}

// The document of a server is of the same edition as its sections, so that it is loaded anew
// where a server of another version goes on.
func TestEdition(t *testing.T) {
	document := get(t, source(), io.Discard, "GET", "/").Body.String()
	all := regexp.MustCompile(`data-edition="([^"]+)"`).FindAllStringSubmatch(document, -1)
	if len(all) != 2 || all[0][1] != all[1][1] || len(all[0][1]) != 16 {
		t.Errorf("got %q", all)
	}
}

// A page of another site's name is not answered, nor is its stream.
func TestPageIsGuarded(t *testing.T) {
	h := Handler(source(), slog.New(slog.DiscardHandler))
	for _, path := range []string{"/", "/events"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("HEAD", "http://evil.example.com"+path, nil))
		if w.Code != 421 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}
