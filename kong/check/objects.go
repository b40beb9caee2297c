package check

import (
	"fmt"
	"regexp"
	"strings"

	"kong-traffic-split/kong/declarative"
	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/file"
)

// readObjects reads what manifests have for the plugin and its server beside routes: the
// configs of KongPlugins, and split files in ConfigMaps.
func (c *checker) readObjects(name, text string) {
	lines := strings.Split(text, "\n")
	for _, d := range file.Documents(text) {
		content := text[d.Start:d.End]
		if !strings.Contains(content, "Plugin") && !strings.Contains(content, "ConfigMap") {
			continue
		}
		parsed, err := declarative.Parse([]byte(content))
		if err != nil {
			continue // the routes' reader says so
		}
		index, problem := file.NewIndex(content)
		if problem != nil {
			continue
		}
		tree := index.Locate(map[string]any(parsed))
		place(tree, func(line, column int) (int, int) { return line + d.Line, column })
		c.readObject(name, lines, parsed, tree)
	}
}

func (c *checker) readObject(name string, lines []string, parsed declarative.File, tree *config.Node) {
	switch kind, _ := parsed["kind"].(string); kind {
	case "KongPlugin", "KongClusterPlugin":
		c.readKongPlugin(name, parsed, tree)
	case "ConfigMap":
		c.readConfigMap(name, lines, parsed, tree)
	case "List": // as kubectl prints it
		items, _ := parsed["items"].([]any)
		at := tree.Get("items")
		for i, item := range items {
			if object, ok := item.(map[string]any); ok && at != nil && i < len(at.Items) && object["kind"] != "List" {
				c.readObject(name, lines, object, at.Items[i])
			}
		}
	}
}

// readKongPlugin checks the config of a KongPlugin of ours. Kong's ingress controller makes
// rows of it.
func (c *checker) readKongPlugin(name string, parsed declarative.File, tree *config.Node) {
	object, _ := parsed.At("metadata", "name").(string)
	if namespace, ok := parsed.At("metadata", "namespace").(string); ok {
		object = namespace + "/" + object
	}
	object = fmt.Sprintf("%s %s: ", parsed["kind"], object)
	if plugin, _ := parsed["plugin"].(string); isAlmostOurs(plugin) {
		p := problemAt(tree, at("plugin"))
		p.Path, p.Message = object+p.Path, fmt.Sprintf(almostOurs, plugin, PluginName)
		c.report(pluginName, name, p)
	}
	if parsed["plugin"] != PluginName || parsed["config"] == nil { // configFrom: it is in a Secret
		return
	}
	at := object + "config"
	_, problems := decodeRow(tree, parsed["config"])
	if problems == nil && c.options.NoOutcomes {
		_, without := decodeRow(tree, parsed["config"], config.WithoutOutcomes)
		for _, p := range without {
			p.Path = join(at, p.Path)
			c.report(noOutcomes, name, p)
		}
	}
	for _, p := range problems {
		p.Path = join(at, p.Path)
		c.report(refusedByPlugin, name, p)
	}
}

// readConfigMap checks the split files in a ConfigMap.
func (c *checker) readConfigMap(name string, lines []string, parsed declarative.File, tree *config.Node) {
	data := tree.Get("data")
	if data == nil {
		return
	}
	for _, m := range data.Members {
		content, _ := parsed.At("data", m.Key).(string)
		index, problem := file.NewIndex(content)
		if problem != nil && beginsSplits.MatchString(content) {
			in := newInside(lines, m)
			p := *problem
			p.Line, p.Column = in.at(p.Line, p.Column)
			p.Path = pathOf(in.place())
			c.report(unreadable, name, p)
		}
		if problem != nil || !has(index.Keys(), splitKeys...) {
			continue
		}
		c.readSplits(Source{Name: name}, content, newInside(lines, m))
	}
}

// beginsSplits matches a text that was to be a split file.
var beginsSplits = regexp.MustCompile(`(?m)^splits:`)

// inside is where in a ConfigMap a split file is; nil: it is a file of its own.
type inside struct {
	key          string // of the ConfigMap's data
	line, column int    // of its first character, counted from 0
	block        bool   // its lines are those of the file
}

// newInside finds a text, in the lines of the manifest, that begins below its key, as it does behind a |.
func newInside(lines []string, m config.Member) *inside {
	in := &inside{m.Key, m.Line - 1, m.Column - 1, false}
	if m.Line < 1 || m.Line > len(lines) || !strings.HasSuffix(strings.TrimRight(lines[m.Line-1], " +-\r"), "|") {
		return in
	}
	for _, line := range lines[m.Line:] {
		if rest := strings.TrimLeft(line, " "); strings.TrimSpace(rest) != "" {
			in.line, in.column, in.block = m.Line, len(line)-len(rest), true
			break
		}
	}
	return in
}

// at returns where a place of the split file is in the file that it is in.
func (in *inside) at(line, column int) (int, int) {
	switch {
	case in == nil:
		return line, column
	case in.block:
		return in.line + line, in.column + column
	}
	return in.line + 1, in.column + 1
}

// place returns the keys that lead to the split file.
func (in *inside) place() []any {
	if in == nil {
		return nil
	}
	return at("data", in.key)
}

// around returns the tree of the file that it is in.
func (in *inside) around(tree *config.Node) *config.Node {
	if in == nil {
		return tree
	}
	line, column := in.at(1, 1)
	wrap := func(key string, n *config.Node) *config.Node {
		return &config.Node{Kind: config.Map, Line: line, Column: column, Members: []config.Member{{Key: key, Value: n, Line: line, Column: column}}}
	}
	return wrap("data", wrap(in.key, tree))
}

// place moves the places of a tree.
func place(n *config.Node, to func(line, column int) (int, int)) {
	seen := map[*config.Node]bool{} // what aliases stand for may be there twice
	var visit func(n *config.Node)
	visit = func(n *config.Node) {
		if n == nil || seen[n] {
			return
		}
		seen[n] = true
		n.Line, n.Column = to(n.Line, n.Column)
		for _, item := range n.Items {
			visit(item)
		}
		for i := range n.Members {
			m := &n.Members[i]
			m.Line, m.Column = to(m.Line, m.Column)
			visit(m.Value)
		}
	}
	visit(n)
}
