package main

import (
	"bytes"
	"fmt"
	"io"
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
	kong   *check.Kong // nil: it is a split file
	others []string    // rows whose splits are in split files
}

// namedSplit is a split with the names that --split accepts.
type namedSplit struct {
	name     string // what it is called
	full     string // the same, of a row with the kinds of what it is on
	instance string // a row's instance_name
	identity string
	place    []any // the keys and indexes that lead to a row's config in the file
	config   *config.Config
	missing  []string   // backends whose Upstreams Kong's file does not have
	row      *check.Row // nil: it is of a split file
}

// readSplits reads a split file, a folder of them, or a declarative file of Kong's, which
// has a _format_version; - is standard input. The errors are those of the plugin server.
func readSplits(stdin io.Reader, path string) (*splitsFile, error) {
	read := file.Read
	if info, err := os.Stat(path); path == "-" || err == nil && info.Mode().IsRegular() { // reading others may block
		text, err := readInput(stdin, path)
		if err != nil {
			return nil, err
		}
		f, err := declarative.ParseDeck(text, os.LookupEnv)
		switch {
		case err == nil && f.File["_format_version"] != nil:
			return readRows(path, string(text))
		case err != nil && f.HasExpressions() && bytes.Contains(text, []byte("_format_version")): // a split file has none
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if path == "-" {
			read = func(name string, options ...config.Option) (map[string]*config.Config, error) {
				return file.ReadText(name, string(text), options...)
			}
		}
	}
	splits, err := read(path)
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
func readRows(path, text string) (*splitsFile, error) {
	kong, problem := check.Read(path, text, os.LookupEnv)
	if problem != nil {
		return nil, file.Problems{{File: path, Problem: *problem}}
	}
	if refused := kong.Refused(); refused != nil {
		return nil, refused
	}
	f := &splitsFile{path: path, kong: kong}
	for _, row := range kong.Rows() {
		name, full := rowNames(row.PluginRow)
		if len(row.Config.Backends) == 0 {
			f.others = append(f.others, full)
		} else {
			f.splits = append(f.splits, namedSplit{
				name: name, full: full, instance: row.Name, identity: row.ID,
				place: append(row.Place[:len(row.Place):len(row.Place)], "config"), config: row.Config, missing: row.Missing(), row: row,
			})
		}
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

// consumer returns the consumer of that name or id in Kong's file. A split file has none:
// it returns one with that name then.
func (f *splitsFile) consumer(name string) (simulate.Consumer, error) {
	if f.kong == nil {
		return simulate.Consumer{ID: name, CustomID: name, Username: name}, nil
	}
	c, ok := f.kong.File.Consumer(name)
	if !ok {
		return simulate.Consumer{}, fmt.Errorf("consumer %q is not in %s, neither by its username, nor its custom_id, nor its id", name, f.path)
	}
	return simulate.Consumer{ID: c.ID, CustomID: c.CustomID, Username: c.Username}, nil
}
