// Package dashboard reads the dashboard in kong/observability with Grafana's own types,
// which know each option of each panel. It is a module of its own, as those types are many
// and nobody else needs them.
package dashboard

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
)

// source is the variable of the dashboard that names the data source.
const source = "${datasource}"

func read(t *testing.T) dashboard.Dashboard {
	t.Helper()
	text, err := os.ReadFile("../../kong/observability/grafana/traffic-split.json")
	if err != nil {
		t.Fatal(err)
	}
	plugins.RegisterDefaultPlugins() // without them options of panels are taken as they are
	// Being strict it finds faults and does not fill in everything; and where there is
	// none, it returns an empty list of them, which is no nil error.
	var problems cog.BuildErrors
	if err := new(dashboard.Dashboard).UnmarshalJSONStrict(text); err != nil && !(errors.As(err, &problems) && len(problems) == 0) {
		t.Fatalf("Grafana would not know all of it, or miss something: %v", err)
	}
	var d dashboard.Dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	if err := d.Validate(); err != nil {
		t.Fatal(err)
	}
	return d
}

// Panels lie on the grid without gaps at the left and without overlaps, each with a
// number, a title and a description of its own.
func TestPanels(t *testing.T) {
	ids, titles := map[uint32]bool{}, map[string]bool{}
	taken := map[string]string{}
	place := func(kind string, id *uint32, title *string, at *dashboard.GridPos) {
		t.Helper()
		if id == nil || ids[*id] || title == nil || titles[*title] || at == nil {
			t.Fatalf("%s: number, title or place is missing, or not its own: %v %v %v", kind, id, title, at)
		}
		ids[*id], titles[*title] = true, true
		if at.X+at.W > 24 {
			t.Errorf("%s sticks out at the right", *title)
		}
		for x := at.X; x < at.X+at.W; x++ {
			for y := at.Y; y < at.Y+at.H; y++ {
				cell := fmt.Sprint(x, " ", y)
				if other, is := taken[cell]; is {
					t.Fatalf("%s lies over %s", *title, other)
				}
				taken[cell] = *title
			}
		}
	}
	var end uint32
	for _, p := range read(t).Panels {
		if p.Panel == nil {
			place("row", &p.RowPanel.Id, p.RowPanel.Title, p.RowPanel.GridPos)
			end = max(end, p.RowPanel.GridPos.Y+p.RowPanel.GridPos.H)
			continue
		}
		place(p.Panel.Type, p.Panel.Id, p.Panel.Title, p.Panel.GridPos)
		end = max(end, p.Panel.GridPos.Y+p.Panel.GridPos.H)
		if p.Panel.Description == nil || *p.Panel.Description == "" {
			t.Errorf("%s: nothing says what it shows", *p.Panel.Title)
		}
	}
	for x := range 24 {
		for y := range end {
			if cell := fmt.Sprint(x, " ", y); taken[cell] == "" {
				t.Errorf("nothing is at %s", cell)
			}
		}
	}
}

// Each query goes to the data source that the reader chooses.
func TestQueries(t *testing.T) {
	queries := 0
	for _, p := range read(t).Panels {
		if p.Panel == nil {
			continue
		}
		if ds := p.Panel.Datasource; ds == nil || ds.Uid == nil || *ds.Uid != source {
			t.Errorf("%s asks %+v", *p.Panel.Title, ds)
		}
		if len(p.Panel.Targets) == 0 {
			t.Errorf("%s shows nothing", *p.Panel.Title)
		}
		refs := map[string]bool{}
		for i, target := range p.Panel.Targets {
			q, ok := target.(*prometheus.Dataquery)
			if !ok || q.Datasource == nil || q.Datasource.Uid == nil || *q.Datasource.Uid != source || q.Expr == "" || q.RefId == nil || refs[*q.RefId] {
				t.Errorf("%s: target %d is no query of its own to the data source", *p.Panel.Title, i)
				continue
			}
			refs[*q.RefId] = true
			queries++
		}
	}
	if queries < 30 {
		t.Errorf("found %d queries, so they are not looked for in the right way", queries)
	}
}

// The reader chooses data source, job, server and split, and the panels of a split are
// there for each one.
func TestVariables(t *testing.T) {
	d := read(t)
	var names []string
	for _, v := range d.Templating.List {
		names = append(names, v.Name)
	}
	if want := []string{"datasource", "job", "instance", "split"}; !slices.Equal(names, want) {
		t.Errorf("variables %q, want %q", names, want)
	}
	var repeated []string
	for _, p := range d.Panels {
		if p.RowPanel != nil && p.RowPanel.Repeat != nil {
			repeated = append(repeated, *p.RowPanel.Repeat)
		}
	}
	if !slices.Equal(repeated, []string{"split"}) {
		t.Errorf("rows are repeated for %q", repeated)
	}
}
