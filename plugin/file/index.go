package file

import (
	"fmt"
	"strconv"

	"gopkg.in/yaml.v3"

	"kong-traffic-split/plugin/config"
)

// An Index has the places of the first document of a text in YAML or JSON, of which another
// reader makes values.
type Index struct {
	first, second *yaml.Node // nil: there is none
}

// NewIndex parses a text. The problem is that it is neither YAML nor JSON.
func NewIndex(content string) (*Index, *config.Problem) {
	first, second, err := documents(content)
	if err != nil {
		return nil, syntaxProblem(content, err)
	}
	return &Index{first, second}, nil
}

// Parse parses a split file. The problem is that there is no tree; what is wrong with
// single values is in the tree, for [config.DecodeFile] to report.
func Parse(content string) (*config.Node, *config.Problem) {
	if len(content) > MaxFile {
		return nil, &config.Problem{Message: fmt.Sprintf("is %d bytes long; the plugin server reads at most %d of a file", len(content), MaxFile)}
	}
	return parseYAML(content)
}

// Keys returns the keys of the map that the first document is, or else the second one, as
// the first one may be empty.
func (d *Index) Keys() (keys []string) {
	for _, y := range []*yaml.Node{d.first, d.second} {
		if y == nil || y.Kind != yaml.MappingNode {
			continue
		}
		for i := 0; i+1 < len(y.Content); i += 2 {
			keys = append(keys, y.Content[i].Value)
		}
		return keys
	}
	return nil
}

// Second returns where a second document begins.
func (d *Index) Second() (line, column int, ok bool) {
	if d.second == nil || d.second.ShortTag() == "!!null" {
		return 0, 0, false
	}
	return d.second.Line, d.second.Column, true
}

// Repeated returns the keys that a map of the first document has twice. Of these, readers
// that accept them take the last one.
func (d *Index) Repeated() (all []config.Problem) {
	if d.first != nil {
		all = repeated(d.first, "", all)
	}
	return all
}

func repeated(y *yaml.Node, path string, all []config.Problem) []config.Problem {
	switch y.Kind {
	case yaml.SequenceNode:
		for i, item := range y.Content {
			all = repeated(item, path+"["+strconv.Itoa(i)+"]", all)
		}
	case yaml.MappingNode:
		first := map[string]*yaml.Node{}
		for i := 0; i+1 < len(y.Content); i += 2 {
			key := y.Content[i]
			at := config.Join(path, key.Value)
			if earlier := first[key.Value]; earlier != nil && key.Tag != "!!merge" {
				all = append(all, config.Problem{Path: at, Line: key.Line, Column: key.Column, Message: fmt.Sprintf("is in line %d already, and only the last one counts: put both into one", earlier.Line)})
			}
			first[key.Value] = key
			all = repeated(y.Content[i+1], at, all)
		}
	}
	return all
}

// Locate is [Locate] in this document.
func (d *Index) Locate(value any, steps ...any) *config.Node {
	var at position
	y := d.first
	for _, step := range steps {
		y, at = resolve(y, at)
		switch step := step.(type) {
		case int:
			y = item(y, step)
		case string:
			y = members(y, maxDepth)[step].value
		}
	}
	return locate(value, y, at)
}
