package controller

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"gopkg.in/yaml.v3"

	"kong-traffic-split/cmd/traffic-split-controller/splits"
	"kong-traffic-split/plugin/file"
)

// head begins the file.
const head = "# Written by traffic-split-controller from the routes of the cluster: change those, not this file.\n"

// A File is a split file that a Controller keeps. Nobody else writes it.
type File struct {
	Path   string
	splits map[string]*yaml.Node // what is in it
}

// Open reads a file as it was left, if there is one. What is not a split file is an error;
// the File can be used all the same, and the next Write replaces it. What a controller that
// was killed has left beside it is removed.
func Open(path string) (*File, error) {
	file.RemoveDrafts(path)
	f := &File{Path: path}
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return f, err
	}
	if err := splits.Check(content); err != nil {
		return f, fmt.Errorf("%s: %w", path, err)
	}
	if f.splits, err = splits.Parse(content); err != nil {
		return f, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// Splits returns what is in the file, by name. It must not be changed.
func (f *File) Splits() map[string]*yaml.Node { return f.splits }

// Exists reports whether there is a file.
func (f *File) Exists() bool {
	_, err := os.Stat(f.Path)
	return err == nil
}

// Write puts splits into the file, in the place of what was there: whoever reads it gets
// the one or the other, whole. It reports whether something is different, and leaves a
// file alone that has these splits already.
func (f *File) Write(splits map[string]*yaml.Node) (changed bool, err error) {
	content, err := contentOf(splits)
	if err != nil {
		return false, err
	}
	was, err := os.ReadFile(f.Path)
	if err == nil && bytes.Equal(was, content) {
		f.splits = splits
		return false, nil
	}
	if len(content) > file.MaxFile {
		return false, fmt.Errorf("%s: would be %d bytes long with its %d splits; the plugin server reads at most %d", f.Path, len(content), len(splits), file.MaxFile)
	}
	if err := replace(f.Path, content); err != nil {
		return false, err
	}
	f.splits = splits
	return true, nil
}

// contentOf is the text of a file. The same splits give the same text.
func contentOf(splits map[string]*yaml.Node) ([]byte, error) {
	all := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for _, name := range sortedNames(splits) {
		all.Content = append(all.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: name}, splits[name])
	}
	if len(splits) == 0 {
		all.Style = yaml.FlowStyle
	}
	var b bytes.Buffer
	b.WriteString(head)
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(map[string]*yaml.Node{"splits": all}); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// replace writes a file beside the one at path, and renames it.
func replace(path string, content []byte) (err error) {
	draft, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.new")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(draft.Name()))
		}
	}()
	_, err = draft.Write(content)
	if err == nil {
		err = draft.Chmod(0o644) // the plugin server may be another user
	}
	if err == nil {
		err = draft.Sync()
	}
	if err := errors.Join(err, draft.Close()); err != nil {
		return err
	}
	return os.Rename(draft.Name(), path)
}
