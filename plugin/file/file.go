// Package file owns split files: YAML files, or folders of them, that name
// splits for the plugin's server. It reads and checks them, says where in which
// file something is wrong, and watches them for changes. While they are wrong, what
// they said before stays in use, over the end of the process too where there is a
// [state.Store]. What the keys mean is package config's business.
package file

import (
	"fmt"
	"os"
	"strings"

	"kong-traffic-split/plugin/config"
)

// Read reads the splits of a file, or of all the files *.yaml and *.yml of a
// folder (those of folders in it, and hidden ones, are left out): 1 MiB of a
// file, 8 MiB and 256 files of a folder at most. The error is a Problems that
// has everything that is wrong with any of them; there are no splits then.
func Read(path string, options ...config.Option) (map[string]*config.Config, error) {
	texts, problems := gather(path)
	if problems != nil {
		return nil, problems
	}
	splits, problems := parse(texts, options)
	if problems != nil {
		return nil, problems
	}
	return splits, nil
}

// text is the content of one file. It is saved in JSON.
type text struct {
	Path    string
	Content string
}

// gather reads the texts of one moment: while files are being replaced, such as
// those of a ConfigMap, some would be old and others new, and it reads again.
func gather(path string) ([]text, Problems) {
	const attempts = 5
	for range attempts {
		before := stamp(path)
		texts, problems := readAll(path)
		if stamp(path) == before {
			return texts, problems
		}
	}
	return nil, Problems{{File: path, Problem: config.Problem{Message: "keeps changing while it is read; nothing of it is used until it rests"}}}
}

// parse makes the splits of the texts.
func parse(texts []text, options []config.Option) (map[string]*config.Config, Problems) {
	var problems Problems
	all := map[string]*config.Config{}
	places := map[string]string{}
	for _, t := range texts {
		tree, problem := parseYAML(t.Content)
		if problem != nil {
			problems = append(problems, Problem{t.Path, *problem})
			continue
		}
		splits, wrong := config.DecodeFile(tree, options...)
		for _, p := range wrong {
			problems = append(problems, Problem{t.Path, p})
		}
		problems = append(problems, elsewhere(tree, t.Path, places)...)
		for name, split := range splits {
			all[name] = split
		}
	}
	if problems != nil {
		return nil, problems
	}
	return all, nil
}

// elsewhere reports the splits of a file that another file has as well, and
// notes the places of the others.
func elsewhere(tree *config.Node, path string, places map[string]string) Problems {
	splits := tree.Get("splits")
	if splits == nil {
		return nil
	}
	var problems Problems
	for _, m := range splits.Members {
		place := fmt.Sprintf("%s:%d:%d", path, m.Line, m.Column)
		earlier, taken := places[m.Key]
		if !taken {
			places[m.Key] = place
		} else if !strings.HasPrefix(earlier, path+":") { // twice in one file is reported already
			problems = append(problems, Problem{path, config.Problem{
				Path: config.Join("splits", m.Key), Line: m.Line, Column: m.Column,
				Message: "is in " + earlier + " already; keep one of them",
			}})
		}
	}
	return problems
}

// stamp changes when what is at path changes: it has, of each file, where links
// lead, the size and the time of the last change.
func stamp(path string) string {
	paths, problems := list(path)
	if problems != nil {
		return problems.Error()
	}
	var b strings.Builder
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			fmt.Fprintln(&b, err)
			continue
		}
		fmt.Fprintln(&b, p, target(p), info.Size(), info.ModTime().UnixNano())
	}
	return b.String()
}
