package check

import (
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
	has := func(some []string) bool {
		return slices.ContainsFunc(some, func(key string) bool { return slices.Contains(keys, key) })
	}
	switch {
	case has([]string{"_format_version"}), has(kongKeys) && !has(splitKeys):
		if deck.File == nil && wrong == nil {
			deck.File, wrong = declarative.Parse(s.Data)
		}
		if wrong != nil {
			c.report(unreadable, s.Name, *inLine(wrong))
			return
		}
		c.readKong(s.Name, deck.File, index)
	case has(splitKeys):
		c.readSplits(s, text)
	case has([]string{"apiVersion"}) && has([]string{"kind"}):
		c.manifests = append(c.manifests, httproute.Source{Name: s.Name, Data: s.Data})
	default:
		c.report(unreadable, s.Name, config.Problem{
			Line: 1, Column: 1, Message: "is neither a declarative file of Kong's, which has a _format_version, nor a split file, which has splits, nor a manifest, which has apiVersion and kind",
		})
	}
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
	c.findings = append(c.findings, k.refused(c.options)...)
	c.kongs = append(c.kongs, k)
}

// splitFile is a split file of the plugin server.
type splitFile struct {
	name   string
	folder string
	tree   *config.Node
	splits map[string]*config.Config // those that the plugin takes
}

// readSplits reads a split file. If the plugin refuses one of its splits, it goes on with
// the others, which the plugin does not.
func (c *checker) readSplits(s Source, text string) {
	tree, problem := file.Parse(text)
	if problem != nil {
		c.report(refusedByPlugin, s.Name, *problem)
		return
	}
	f := &splitFile{name: s.Name, folder: s.Folder, tree: tree}
	c.splits = append(c.splits, f)
	splits, problems := config.DecodeFile(tree)
	for _, p := range problems {
		c.report(refusedByPlugin, s.Name, p)
	}
	if f.splits = splits; problems != nil {
		f.splits = decodeEach(tree)
	}
	if c.options.NoOutcomes && problems == nil {
		_, problems := config.DecodeFile(tree, config.WithoutOutcomes)
		for _, p := range problems {
			c.report(noOutcomes, s.Name, p)
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
