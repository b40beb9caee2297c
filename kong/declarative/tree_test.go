package declarative

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPluginRows(t *testing.T) {
	f, err := Parse([]byte(`
_format_version: "3.0"
plugins:
- {name: split, config: {n: 1}}
- {name: split, route: by-name, service: {id: 7f6d0f63-4d2f-4a4a-8f35-3a9d4f1d6a01}, id: mine}
- {name: split, enabled: false}
- {name: other}
consumers:
- username: ann
  plugins: [{name: split, config: {n: 2}}]
services:
- name: shop
  id: 7f6d0f63-4d2f-4a4a-8f35-3a9d4f1d6a01
  plugins: [{name: split}]
  routes:
  - {name: by-name, plugins: [{name: other}, {name: split, consumer: ann}]}
  - {paths: [/], plugins: [{name: split}]}
- oddly
`))
	if err != nil {
		t.Fatal(err)
	}
	rows := f.PluginRows("split")
	want := []PluginRow{
		{
			Place: []any{"consumers", 0, "plugins", 0}, Config: map[string]any{"n": 2.0},
			Owners: []Owner{{"consumer", "ann"}},
		},
		{
			Place: []any{"services", 0, "routes", 0, "plugins", 1}, Owners: []Owner{{"route", "by-name"}, {"consumer", "ann"}},
		},
		{
			Place: []any{"services", 0, "routes", 1, "plugins", 0}, Owners: []Owner{{"route", "services[0].routes[1]"}},
		},
		{Place: []any{"services", 0, "plugins", 0}, Owners: []Owner{{"service", "shop"}}},
		{Place: []any{"plugins", 0}, Config: map[string]any{"n": 1.0}},
		{ID: "mine", Place: []any{"plugins", 1}, Owners: []Owner{{"route", "by-name"}, {"service", "shop"}}},
	}
	ids := map[string]bool{}
	for i := range rows {
		if id := rows[i].ID; id != "mine" {
			if ids[id] {
				t.Errorf("two rows have the id %q", id)
			}
			ids[id], rows[i].ID = true, ""
		}
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// The id is the one with which Kong starts an instance of the row.
func TestPluginRowsHaveKongsIDs(t *testing.T) {
	f, err := Parse([]byte(`
_format_version: "3.0"
services:
- name: shop
  url: http://shop.test
  routes:
  - {name: shop, paths: [/], plugins: [{name: key-auth}]}
`))
	if err != nil {
		t.Fatal(err)
	}
	l, err := NewLoader([]string{"key-auth"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := l.Load(f)
	if err != nil {
		t.Fatal(err)
	}
	rows := f.PluginRows("key-auth")
	if len(rows) != 1 || rows[0].ID != c.Plugins[0].ID {
		t.Errorf("got %v, want the id %s", rows, c.Plugins[0].ID)
	}
}

func TestConsumer(t *testing.T) {
	f := File{"consumers": []any{
		map[string]any{"username": "ann", "custom_id": "bob", "id": "1"},
		map[string]any{"username": "bob", "id": "2"},
		map[string]any{"id": "3"},
		"odd",
	}}
	for name, want := range map[string]Consumer{
		"ann": {ID: "1", Username: "ann", CustomID: "bob"},
		"bob": {ID: "2", Username: "bob"}, // a username before a custom_id
		"3":   {ID: "3"},
	} {
		if got, ok := f.Consumer(name); !ok || !cmp.Equal(got, want) {
			t.Errorf("%s: got %+v, %t", name, got, ok)
		}
	}
	for _, name := range []string{"", "eve"} {
		if got, ok := f.Consumer(name); ok {
			t.Errorf("%q: got %+v", name, got)
		}
	}
}
