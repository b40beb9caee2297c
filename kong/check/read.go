package check

import (
	"fmt"
	"slices"
	"strings"

	"kong-traffic-split/kong/declarative"
	"kong-traffic-split/kong/httproute"
	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/file"
)

// kinds of files, by the keys that are at their top.
var (
	kongKeys  = []string{"_format_version", "services", "routes", "plugins", "upstreams", "consumers"}
	splitKeys = []string{"splits", "defaults"}
)

// read reads a file, and reports what is wrong with it alone.
func (c *checker) read(s Source) {
	text := string(s.Data)
	c.readIgnores(s.Name, text)
	deck, wrong := new(declarative.DeckFile), error(nil)
	masked := text
	if strings.Contains(text, "${{") {
		deck, wrong = declarative.ParseDeck(s.Data, c.options.lookup())
		masked = deck.Text
	}
	index, problem := file.NewIndex(masked)
	if problem != nil {
		c.report(unreadable, s.Name, *problem)
		return
	}
	keys := index.Keys()
	switch {
	case has(keys, "_format_version"), has(keys, kongKeys...) && !has(keys, splitKeys...):
		if deck.File == nil && wrong == nil {
			deck.File, wrong = declarative.Parse(s.Data)
		}
		if wrong != nil {
			c.report(unreadable, s.Name, *inLine(wrong))
			return
		}
		c.readKong(s.Name, deck.File, index)
	case has(keys, splitKeys...):
		c.readSplits(s, text, nil)
	case has(keys, "apiVersion") && has(keys, "kind"):
		c.manifests = append(c.manifests, httproute.Source{Name: s.Name, Data: s.Data})
		c.readObjects(s.Name, text)
	default:
		c.report(unreadable, s.Name, config.Problem{
			Line: 1, Column: 1, Message: "is neither a declarative file of Kong's, which has a _format_version, nor a split file, which has splits, nor a manifest, which has apiVersion and kind",
		})
	}
}

// has reports whether one of some keys is there.
func has(keys []string, some ...string) bool {
	return slices.ContainsFunc(some, func(key string) bool { return slices.Contains(keys, key) })
}

// readKong reads a declarative file of Kong's.
func (c *checker) readKong(name string, parsed declarative.File, index *file.Index) {
	k, problem := newKong(name, parsed, index)
	if problem != nil {
		c.report(unreadable, name, *problem)
		return
	}
	for _, p := range index.Repeated() {
		c.report(repeatedKey, name, p)
	}
	if line, column, ok := index.Second(); ok {
		c.report(secondDocument, name, config.Problem{Line: line, Column: column, Message: "a second document begins here, which Kong ignores: put all into the first, or into a file of its own"})
	}
	c.kongs = append(c.kongs, k)
}

// splitFile is a split file of the plugin server.
type splitFile struct {
	name   string
	folder string
	tree   *config.Node              // of the file that it is in
	place  []any                     // in it
	splits map[string]*config.Config // those that the plugin takes
}

// all returns all splits of the file, right or not.
func (f *splitFile) all() []config.Member {
	if splits := walk(f.tree, append(slices.Clip(f.place), "splits")); splits != nil {
		return splits.Members
	}
	return nil
}

// readSplits reads a split file, which may be in another file. If the plugin refuses one of
// its splits, it goes on with the others, which the plugin does not.
func (c *checker) readSplits(s Source, text string, in *inside) {
	tree, problem := file.Parse(text)
	if problem != nil {
		p := *problem
		p.Line, p.Column = in.at(p.Line, p.Column)
		p.Path = join(pathOf(in.place()), p.Path)
		c.report(refusedByPlugin, s.Name, p)
		return
	}
	if in != nil {
		place(tree, in.at)
	}
	f := &splitFile{name: s.Name, folder: s.Folder, tree: in.around(tree), place: in.place()}
	c.splits = append(c.splits, f)
	report := func(check *Check, problems config.Problems) {
		for _, p := range problems {
			p.Path = join(pathOf(in.place()), p.Path)
			c.report(check, s.Name, p)
		}
	}
	splits, problems := config.DecodeFile(tree)
	report(refusedByPlugin, problems)
	if f.splits = splits; problems != nil {
		f.splits = decodeEach(tree)
	}
	if c.options.NoOutcomes && problems == nil {
		_, problems := config.DecodeFile(tree, config.WithoutOutcomes)
		report(noOutcomes, problems)
	}
	for _, other := range c.splits[:len(c.splits)-1] {
		if f.folder != "" && f.folder == other.folder {
			c.twice(f, other)
		}
	}
}

// twice reports the splits that an earlier file of the same folder has too.
func (c *checker) twice(f, earlier *splitFile) {
	first := map[string]config.Member{}
	for _, m := range earlier.all() {
		first[m.Key] = m
	}
	for _, m := range f.all() {
		if was, ok := first[m.Key]; ok {
			c.report(refusedByPlugin, f.name, config.Problem{
				Path: config.Join("splits", m.Key), Line: m.Line, Column: m.Column,
				Message: fmt.Sprintf("is in %s:%d:%d already; keep one of them", earlier.name, was.Line, was.Column),
			})
		}
	}
}

// decodeEach decodes each split of a file by itself, and returns those that are right.
func decodeEach(tree *config.Node) map[string]*config.Config {
	out := map[string]*config.Config{}
	splits := tree.Get("splits")
	if splits == nil {
		return out
	}
	for _, m := range splits.Members {
		one := &config.Node{Kind: config.Map, Members: []config.Member{
			{Key: "splits", Value: &config.Node{Kind: config.Map, Members: []config.Member{m}}},
		}}
		if defaults := tree.Get("defaults"); defaults != nil {
			one.Members = append(one.Members, config.Member{Key: "defaults", Value: defaults})
		}
		if decoded, problems := config.DecodeFile(one); problems == nil {
			out[m.Key] = decoded[m.Key]
		}
	}
	return out
}
