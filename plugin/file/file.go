// Package file owns split files: YAML files, or folders of them, with the named splits
// of the plugin server. It reads and checks them, says in which file and line something
// is wrong, and watches them for changes. While they are wrong, the splits from before
// stay in use, even in the next process if there is a [state.Store]. What the keys mean
// is up to package config.
package file

import (
	"fmt"
	"os"
	"strings"

	"kong-traffic-split/plugin/config"
)

// Read reads the splits of a file, or of the files *.yaml and *.yml in a folder, but not
// in its subfolders, nor hidden ones. A file may have 8 MiB, a folder 256 files and 8 MiB.
// The error is a Problems with all that is wrong with any of them; it returns no splits
// then.
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

// ReadText reads the splits of the text of one file, which errors call name.
func ReadText(name, content string, options ...config.Option) (map[string]*config.Config, error) {
	if len(content) > MaxFile {
		return nil, unreadable(name, fmt.Errorf("is %d bytes long; at most %d are read", len(content), MaxFile))
	}
	splits, problems := parse([]text{{Path: name, Content: content}}, options)
	if problems != nil {
		return nil, problems
	}
	return splits, nil
}

// text is the content of one file. The saved state has it in JSON.
type text struct {
	Path    string
	Content string
}

// gather reads the texts of all files as they are at one moment: it reads again while
// files are being replaced, as those of a ConfigMap are, and some are old and others new.
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

// parse parses texts into splits.
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
		problems = append(problems, duplicates(tree, t.Path, places)...)
		for name, split := range splits {
			all[name] = split
		}
	}
	if problems != nil {
		return nil, problems
	}
	return all, nil
}

// duplicates returns the splits of a file that an earlier file has as well. It adds the
// others to places.
func duplicates(tree *config.Node, path string, places map[string]string) Problems {
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

// stamp returns a text that changes when the files at path do: where links lead, and
// each file's size and time of the last change.
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

// A Problem is one thing that is wrong with a file.
type Problem struct {
	File string
	config.Problem
}

// String returns "file:line:column: path: what is wrong; what to do".
func (p Problem) String() string {
	if p.Line == 0 { // it is the file as a whole
		return p.File + ": " + p.Problem.String()
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Problem)
}

// Problems is everything that is wrong with a file or a folder. An empty one is no error:
// functions return nil then.
type Problems []Problem

// Error returns the problems, a line for each.
func (ps Problems) Error() string { return strings.Join(ps.lines(), "\n") }

// lines returns a line for each problem, and one with the number of those after the
// first 100.
func (ps Problems) lines() []string {
	const limit = 100
	var all []string
	for _, p := range ps[:min(len(ps), limit)] {
		all = append(all, p.String())
	}
	if len(ps) > limit {
		more := 0
		for _, p := range ps[limit:] {
			more += 1 + p.More
		}
		all = append(all, fmt.Sprintf("and %d more problems", more))
	}
	return all
}
