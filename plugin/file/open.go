package file

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"kong-traffic-split/plugin/config"
)

// MaxFile is the length of a file that is read, in bytes. A split of two backends takes
// about 300 bytes, one of 64 backends with some headers each about 20 KiB.
const MaxFile = 8 << 20

// Other limits of what is read.
const (
	maxTotal   = MaxFile // bytes of a folder's files
	maxFiles   = 256     // files of a folder
	maxEntries = 1000    // names in a folder, files or not
)

// list returns the split files at path, in the order of their names.
func list(path string) ([]string, Problems) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	names, err := namesIn(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	var paths []string
	for _, name := range names {
		if isSplitFile(name) {
			paths = append(paths, filepath.Join(path, name))
		}
	}
	switch {
	case len(paths) == 0:
		return nil, unreadable(path, errors.New("the folder has no file *.yaml or *.yml"))
	case len(paths) > maxFiles:
		return nil, unreadable(path, fmt.Errorf("the folder has %d files *.yaml and *.yml; at most %d are read", len(paths), maxFiles))
	}
	slices.Sort(paths)
	return paths, nil
}

// namesIn returns the names in a folder.
func namesIn(path string) ([]string, error) {
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(maxEntries + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(names) > maxEntries {
		return nil, fmt.Errorf("the folder has more than %d files; name one file, or a folder with split files only", maxEntries)
	}
	return names, nil
}

// readAll reads the split files at path.
func readAll(path string) ([]text, Problems) {
	paths, problems := list(path)
	var texts []text
	total := 0
	for _, p := range paths {
		content, err := readFile(p, MaxFile)
		if err != nil {
			problems = append(problems, unreadable(p, err)...)
			continue
		}
		if total += len(content); total > maxTotal {
			return nil, append(problems, unreadable(path, fmt.Errorf("the files of the folder are longer than %d bytes together, the most that is read", maxTotal))...)
		}
		texts = append(texts, text{Path: p, Content: content})
	}
	return texts, problems
}

// readFile reads a regular file of bounded size. It never blocks, as opening a FIFO
// would, or reading a device that has no end.
func readFile(path string, limit int) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if err := acceptable(info, limit); err != nil {
		return "", err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return read(f, limit)
}

// Content returns the text of a regular file of at most limit bytes, as [Lock] does, and
// locks nothing.
func Content(path string, limit int) (string, error) {
	content, err := readFile(path, limit)
	if err != nil {
		return "", inPath(path, err)
	}
	return content, nil
}

// read reads an open file, which may have been replaced since it was looked at, up to
// limit bytes.
func read(f *os.File, limit int) (string, error) {
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if err := acceptable(info, limit); err != nil {
		return "", err
	}
	content, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err != nil {
		return "", err
	}
	if len(content) > limit { // it grew
		return "", fmt.Errorf("is longer than %d bytes, the most that is read", limit)
	}
	return string(content), nil
}

func acceptable(info fs.FileInfo, limit int) error {
	switch {
	case info.IsDir():
		return errors.New("is a folder; a split file is needed")
	case !info.Mode().IsRegular():
		return errors.New("is not a regular file but " + describe(info.Mode()))
	case info.Size() > int64(limit):
		return fmt.Errorf("is %d bytes long; at most %d are read", info.Size(), limit)
	}
	return nil
}

func describe(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeNamedPipe != 0:
		return "a FIFO"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	}
	return "a device"
}

// unreadable returns the problem of a path that cannot be read.
func unreadable(path string, err error) Problems {
	var reason *fs.PathError
	if errors.As(err, &reason) { // the path is said already
		err = reason.Err
	}
	return Problems{{File: path, Problem: config.Problem{Message: err.Error()}}}
}

// target returns where a path leads when its links are followed; empty if there is no
// such file.
func target(path string) string {
	t, err := filepath.EvalSymlinks(path)
	if err != nil {
		return ""
	}
	return t
}
