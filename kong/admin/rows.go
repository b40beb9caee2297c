package admin

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
)

// Row is a row of a plugin.
type Row struct {
	ID           string          `json:"id"`
	Name         string          `json:"name"` // the plugin's
	InstanceName string          `json:"instance_name"`
	Enabled      bool            `json:"enabled"`
	Config       json.RawMessage `json:"config"` // with secrets, or references to them
	UpdatedAt    float64         `json:"updated_at"`
	Route        *reference      `json:"route"`
	Service      *reference      `json:"service"`
	Consumer     *reference      `json:"consumer"`
}

type reference struct {
	ID string `json:"id"`
}

// Same reports whether a row was not changed since it was read as other. Kong writes the
// keys of an object in any order.
func (r *Row) Same(other *Row) bool {
	var mine, its any
	return r.UpdatedAt == other.UpdatedAt &&
		json.Unmarshal(r.Config, &mine) == nil && json.Unmarshal(other.Config, &its) == nil && reflect.DeepEqual(mine, its)
}

// Row returns a row by its id.
func (c *Client) Row(ctx context.Context, id string) (*Row, error) {
	var row Row
	err := c.do(ctx, http.MethodGet, "/plugins/"+url.PathEscape(id), nil, &row)
	return &row, err
}

// Find returns the only row of a plugin with that name: its instance_name or id, or the
// name or id of the route, Service or consumer that it is on.
func (c *Client) Find(ctx context.Context, plugin, name string) (*Row, error) {
	rows, err := c.rows(ctx, plugin)
	if err != nil {
		return nil, err
	}
	found := slices.DeleteFunc(slices.Clone(rows), func(r Row) bool { return r.InstanceName != name && r.ID != name })
	for _, entity := range []string{"routes", "services", "consumers"} {
		if len(found) > 0 {
			break
		}
		var owner reference
		err := c.do(ctx, http.MethodGet, "/"+entity+"/"+url.PathEscape(name), nil, &owner)
		if refused(err, http.StatusNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			on := map[string]*reference{"routes": r.Route, "services": r.Service, "consumers": r.Consumer}[entity]
			if on != nil && on.ID == owner.ID {
				found = append(found, r)
			}
		}
	}
	switch {
	case len(found) == 1:
		return &found[0], nil
	case len(found) == 0 && len(rows) == 0:
		return nil, fmt.Errorf("there is no row of the plugin %s", plugin)
	case len(found) == 0:
		return nil, fmt.Errorf("there is no row of the plugin %s that is called %q, or is on a route, Service or consumer of that name; there are %s", plugin, name, names(rows))
	}
	return nil, fmt.Errorf("there are %d rows of the plugin %s on %q: give an instance_name or id of %s", len(found), plugin, name, names(found))
}

// names returns what rows can be called, for a message.
func names(rows []Row) string {
	const limit = 20
	var all []string
	for _, r := range rows[:min(len(rows), limit)] {
		if r.InstanceName != "" {
			all = append(all, r.InstanceName)
		} else {
			all = append(all, r.ID)
		}
	}
	if len(rows) > limit {
		all = append(all, "…")
	}
	return strings.Join(all, ", ")
}

// rows returns all rows of a plugin.
func (c *Client) rows(ctx context.Context, plugin string) ([]Row, error) {
	all, err := pages[Row](ctx, c, "plugins")
	return slices.DeleteFunc(all, func(r Row) bool { return r.Name != plugin }), err
}

// Patch changes keys of a row's config, and returns the row as it is then. Kong merges
// records with what it has, and puts arrays in the place of those that it has; null
// removes.
func (c *Client) Patch(ctx context.Context, id string, config map[string]any) (*Row, error) {
	var row Row
	err := c.do(ctx, http.MethodPatch, "/plugins/"+url.PathEscape(id), map[string]any{"config": config}, &row)
	return &row, err
}

// HashOf returns the hash by which Kong knows the text of a configuration.
func HashOf(text string) string {
	sum := md5.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}
