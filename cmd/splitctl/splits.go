package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"kong-traffic-split/kong/check"
	"kong-traffic-split/kong/declarative"
	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/file"
	"kong-traffic-split/plugin/simulate"
)

// splitsFile has the splits of a file, in its order.
type splitsFile struct {
	path   string
	splits []namedSplit
	kong   declarative.File // nil: it is a split file
	others []string         // rows whose splits are in split files
}

// namedSplit is a split with the names that --split accepts.
type namedSplit struct {
	name     string // what it is called
	full     string // the same, of a row with the kinds of what it is on
	instance string // a row's instance_name
	identity string
	place    []any // the keys and indexes that lead to a row's config in the file
	config   *config.Config
	missing  []string // backends whose Upstreams Kong's file does not have
}

// readSplits reads a split file, a folder of them, or a declarative file of Kong's, which
// has a _format_version. The errors are those of the plugin server.
func readSplits(path string) (*splitsFile, error) {
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() { // reading others may block
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		f, err := declarative.ParseDeck(text, os.LookupEnv)
		switch {
		case err == nil && f.File["_format_version"] != nil:
			return readRows(path, f.Text, f.File)
		case err != nil && f.HasExpressions() && bytes.Contains(text, []byte("_format_version")): // a split file has none
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	splits, err := file.Read(path)
	if err != nil {
		return nil, err
	}
	f := &splitsFile{path: path}
	for name, c := range splits {
		f.splits = append(f.splits, namedSplit{name: name, full: name, identity: name, config: c})
	}
	slices.SortFunc(f.splits, func(a, b namedSplit) int { return strings.Compare(a.name, b.name) })
	return f, nil
}

// readRows reads the plugin rows of a declarative file, as Kong and the plugin server do.
// It checks the plugin's configs first, as the plugin's errors say more than Kong's.
func readRows(path, text string, kong declarative.File) (*splitsFile, error) {
	inFile := func(err error) error { return fmt.Errorf("%s: %w", path, err) }
	kong, err := kong.WithoutDeck()
	if err != nil {
		return nil, inFile(err)
	}
	f := &splitsFile{path: path, kong: kong}
	rows := kong.PluginRows(pluginName)
	var problems file.Problems
	configs := make([]*config.Config, len(rows))
	for i, row := range rows {
		c, wrong := config.DecodeRow(file.Locate(text, orEmpty(row.Config), append(row.Place, "config")...), config.References)
		if text, err := json.Marshal(row.Config); err == nil && wrong == nil {
			if err := config.CheckLength(len(text)); err != nil {
				wrong = config.Problems{{Message: fmt.Sprintf("the config of row %d of the plugin %v", i+1, err)}}
			}
		}
		for _, p := range wrong {
			problems = append(problems, file.Problem{File: path, Problem: p})
		}
		configs[i] = c
	}
	if problems != nil {
		return nil, problems
	}
	gateway, err := check.Load(kong, pluginName)
	if err != nil {
		return nil, inFile(err)
	}
	for i, loaded := range gateway.Rows() {
		row, c := rows[i], configs[i]
		for _, reason := range gateway.Refused(loaded, c) {
			at := file.Locate(text, nil, row.Place...)
			problems = append(problems, file.Problem{File: path, Problem: config.Problem{Message: reason, Line: at.Line, Column: at.Column}})
		}
		name, full := rowNames(row)
		if len(c.Backends) == 0 {
			f.others = append(f.others, full)
		} else {
			f.splits = append(f.splits, namedSplit{
				name: name, full: full, instance: row.Name, identity: row.ID,
				place: append(row.Place[:len(row.Place):len(row.Place)], "config"), config: c, missing: gateway.Missing(c),
			})
		}
	}
	if problems != nil {
		return nil, problems
	}
	f.distinguish()
	return f, nil
}

// orEmpty returns the config of a row. Kong uses an empty one if there is none.
func orEmpty(config any) any {
	if config == nil {
		return map[string]any{}
	}
	return config
}

// rowNames returns the names of a row: the names of what it is on, without and with their
// kinds.
func rowNames(row declarative.PluginRow) (name, full string) {
	if len(row.Owners) == 0 {
		return "global", "global"
	}
	var names, fulls []string
	for _, o := range row.Owners {
		names, fulls = append(names, o.Name), append(fulls, o.Kind+":"+o.Name)
	}
	return strings.Join(names, "+"), strings.Join(fulls, "+")
}

// distinguish gives splits of the same name their full names, and numbers those whose
// full names are the same too.
func (f *splitsFile) distinguish() {
	short, full := map[string]int{}, map[string]int{}
	for _, s := range f.splits {
		short[s.name]++
	}
	for i := range f.splits {
		s := &f.splits[i]
		if full[s.full]++; full[s.full] > 1 {
			s.full = fmt.Sprintf("%s#%d", s.full, full[s.full])
		}
		if short[s.name] > 1 {
			s.name = s.full
		}
	}
}

// choose returns the splits of that name; all of them if it is empty.
func (f *splitsFile) choose(name string) ([]namedSplit, error) {
	chosen := f.splits
	if name != "" {
		chosen = slices.DeleteFunc(slices.Clone(f.splits), func(s namedSplit) bool { return s.name != name && s.full != name && s.instance != name })
	}
	switch {
	case len(chosen) > 0:
		return chosen, nil
	case len(f.splits) > 0:
		return nil, fmt.Errorf("%s: has no split %q; there are %s", f.path, name, f.names())
	case len(f.others) > 0:
		return nil, fmt.Errorf("%s: the backends of %s stand in a split file of the plugin server; give that file", f.path, strings.Join(f.others, ", "))
	}
	return nil, fmt.Errorf("%s: has no plugin %s that is enabled", f.path, pluginName)
}

// one returns the split of that name, or the only one.
func (f *splitsFile) one(name string) (namedSplit, error) {
	chosen, err := f.choose(name)
	if err != nil {
		return namedSplit{}, err
	}
	if len(chosen) > 1 {
		return namedSplit{}, fmt.Errorf("%s: has %d splits; say with --split which one is meant: %s", f.path, len(chosen), f.names())
	}
	return chosen[0], nil
}

func (f *splitsFile) names() string {
	var names []string
	for _, s := range f.splits {
		names = append(names, s.name)
	}
	return strings.Join(names, ", ")
}

// consumer returns the consumer of that name or id in Kong's file. If there is none, it
// returns one with that name.
func (f *splitsFile) consumer(name string) simulate.Consumer {
	if c, ok := f.kong.Consumer(name); ok {
		return simulate.Consumer{ID: c.ID, CustomID: c.CustomID, Username: c.Username}
	}
	return simulate.Consumer{ID: name, CustomID: name, Username: name}
}
