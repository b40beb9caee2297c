package plugin_test

import (
	"bytes"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/config"
)

// plain returns a log without times, revisions and levels.
func plain(to io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(to, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
			return slog.Attr{}
		}
		if a.Key == "revision" {
			return slog.String(a.Key, "changed")
		}
		return a
	}}))
}

// The log says what another config changes, in a row and in a split file alike.
func TestChangesAreLogged(t *testing.T) {
	const (
		two  = `"backends":[{"name":"a","host":"10.0.0.1","weight":90},{"name":"b","host":"10.0.0.2","weight":10}]`
		ramp = `"ramp":{"backend":"b","start":"2999-01-31T18:00:00Z","duration":60`
	)
	for _, test := range []struct {
		name, before, after string
		want                []string
	}{
		{"nothing", two, two, nil},
		{"a weight", two, strings.Replace(two, "10}", "20}", 1), []string{`msg="a weight has changed" split=ID backend=b weight=10->20`}},
		{
			"a backend for another", two, strings.Replace(two, `"b"`, `"c"`, 1),
			[]string{`msg="a backend was added" split=ID backend=c weight=10`, `msg="a backend was removed" split=ID backend=b weight=10`},
		},
		{"something else", two, `"response_header":"X-Backend",` + two, []string{`msg="a config has changed" split=ID revision=changed`}},
		{"a ramp", two, ramp + `},` + two, []string{`msg="a ramp has begun" split=ID backend=b share=0`}},
		{"a ramp that is held", ramp + `},` + two, ramp + `,"hold":12.5},` + two, []string{`msg="a ramp has changed" split=ID backend=b share=0->12.5 held=true`}},
		{"a ramp that goes on", ramp + `,"hold":0},` + two, ramp + `},` + two, []string{`msg="a ramp has changed" split=ID backend=b share=0 held=false`}},
		{"no ramp", ramp + `},` + two, two, []string{`msg="a ramp has ended" split=ID backend=b`}},
		{
			"a ramp and a weight", two, ramp + `},` + strings.Replace(two, "90}", "80}", 1),
			[]string{`msg="a weight has changed" split=ID backend=a weight=90->80`, `msg="a ramp has begun" split=ID backend=b share=0`},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			for id, edit := range map[string]func(p *plugin.Plugin){
				"p1": func(p *plugin.Plugin) {
					for _, config := range []string{test.before, test.after, test.after} { // one more worker
						if err := web().access(t, start(t, p, onRoute+config)); err != nil {
							t.Fatal(err)
						}
					}
				},
				"web": func(p *plugin.Plugin) {
					for _, text := range []string{test.before, test.after} {
						p.SetSplits(map[string]*config.Config{"web": mustConfig(t, "{"+text+"}")})
					}
				},
			} {
				var log bytes.Buffer
				with := options
				with.Log = plain(&log)
				edit(plugin.New(with))
				got := slices.DeleteFunc(strings.Split(strings.ReplaceAll(log.String(), "split="+id, "split=ID"), "\n"), func(line string) bool { return line == "" })
				if diff := cmp.Diff(test.want, got, cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("%s (-want +got):\n%s", id, diff)
				}
			}
		})
	}
}
