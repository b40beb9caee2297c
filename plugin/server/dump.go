package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// protocol is what Kong calls the protocol that this package speaks.
const protocol = "ProtoBuf:1"

// Dump writes to w what Kong's query_cmd has to print: the protocol, the socket
// and the plugin.
func Dump(w io.Writer, p Plugin, socketPath string) error {
	type plugin struct {
		Name     string
		Phases   []string
		Version  string
		Priority int
		Schema   json.RawMessage
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(struct {
		Protocol   string
		SocketPath string
		Plugins    []plugin
	}{protocol, socketPath, []plugin{{
		Name:     p.Name,
		Phases:   append([]string{}, p.Phases...), // Kong takes no null
		Version:  p.Version,
		Priority: p.Priority,
		Schema:   p.Schema,
	}}})
	if err != nil {
		return fmt.Errorf("dump of plugin %s: %w", p.Name, err)
	}
	return nil
}

// An Info is an info file that is written and not in its place yet. A nil one is
// none, of which nothing is to be done.
type Info struct{ path, temp string }

// PrepareInfo writes the dump to a file beside path, for a query_cmd that prints
// what is at path: everybody may read it, and finds the old dump or, once Publish
// was called, the new one, whole. Where path is empty, no file is wanted.
func PrepareInfo(path string, p Plugin, socketPath string) (*Info, error) {
	if path == "" {
		return nil, nil
	}
	temp, err := writeInfo(path, p, socketPath)
	if err != nil {
		return nil, fmt.Errorf("info file %s: %w", path, err)
	}
	return &Info{path, temp}, nil
}

func writeInfo(path string, p Plugin, socketPath string) (string, error) {
	if there, err := os.Stat(path); err == nil && !there.Mode().IsRegular() {
		return "", errors.New("something else than a file is there; choose another path")
	}
	var dump strings.Builder
	if err := Dump(&dump, p, socketPath); err != nil {
		return "", err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return "", fmt.Errorf("its folder has to exist and be writable: %w", err)
	}
	if err := fill(temp, dump.String()); err != nil {
		return "", errors.Join(err, os.Remove(temp.Name()))
	}
	return temp.Name(), nil
}

// Publish puts the file in its place. After an error what was there is still
// there, and the new file is gone.
func (i *Info) Publish() error {
	if i == nil {
		return nil
	}
	if err := os.Rename(i.temp, i.path); err != nil {
		return errors.Join(fmt.Errorf("info file %s: %w", i.path, err), i.Discard())
	}
	return nil
}

// Discard removes the file, and leaves what is in its place.
func (i *Info) Discard() error {
	if i == nil {
		return nil
	}
	return os.Remove(i.temp)
}

// fill makes content the content of f, readable by all, and closes f.
func fill(f *os.File, content string) error {
	_, err := f.WriteString(content)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync() // where a full disk or a quota may show only now
	}
	return errors.Join(err, f.Close())
}
