package file

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"kong-traffic-split/plugin/config"
)

// Change is what has become of a split in a split file.
type Change struct {
	Path       string         // of the file
	Was, Is    *config.Config // the split's
	Difference []string       // lines that begin with - or +, as [config.Difference] has them
}

// Decide returns the edits to make to a split, whose paths begin in the split's own map.
type Decide func(*config.Config) ([]config.Edit, error)

// ChangeSplit changes a split in the split file at path, or in the one of a folder that
// has it, in place: see [Edit], [Lock] and [Locked.Replace]. The files have to be right
// before and after; the error is a Problems, or has one, if they are not, and nothing is
// written. With dry nothing is written either.
func ChangeSplit(ctx context.Context, path, split string, dry bool, decide Decide) (*Change, error) {
	for {
		texts, problems := gather(path)
		if problems != nil {
			return nil, problems
		}
		i, err := holder(path, texts, split)
		if err != nil {
			return nil, err
		}
		if dry {
			c, _, err := change(texts, i, split, decide)
			return c, err
		}
		file := texts[i].Path
		locked, err := Lock(ctx, file, MaxFile)
		if err != nil {
			return nil, err
		}
		if locked.Content != texts[i].Content { // who had the lock has changed it
			locked.Close()
			continue
		}
		defer locked.Close()
		c, after, err := change(texts, i, split, decide)
		if err == nil && len(c.Difference) > 0 {
			err = locked.Replace(after)
		}
		return c, err
	}
}

// holder returns the index of the text that has a split. All of them have to be right.
func holder(path string, texts []text, split string) (int, error) {
	splits, problems := parse(texts, nil)
	if problems != nil {
		return 0, problems
	}
	if splits[split] == nil {
		return 0, fmt.Errorf("%s: has no split %q; there are %s", path, split, strings.Join(slices.Sorted(maps.Keys(splits)), ", "))
	}
	return slices.IndexFunc(texts, func(t text) bool {
		tree, _ := parseYAML(t.Content)
		return tree.Get("splits").Get(split) != nil
	}), nil
}

// change returns what becomes of a split of the text with that index, and the new text.
func change(texts []text, i int, split string, decide Decide) (*Change, string, error) {
	splits, problems := parse(texts, nil)
	if problems != nil {
		return nil, "", problems
	}
	c := &Change{Path: texts[i].Path, Was: splits[split]}
	edits, err := decide(c.Was)
	if err != nil {
		return nil, "", err
	}
	tree, _ := parseYAML(texts[i].Content)
	c.Difference = config.Difference(tree.Get("splits").Get(split), edits)
	after, problem := Edit(texts[i].Content, []any{"splits", split}, edits...)
	if problem != nil {
		return nil, "", Problems{{c.Path, *problem}}
	}
	texts = slices.Clone(texts)
	texts[i].Content = after
	if len(after) > MaxFile {
		problems = Problems{{c.Path, config.Problem{Message: fmt.Sprintf("is %d bytes long; at most %d are read", len(after), MaxFile)}}}
	} else {
		splits, problems = parse(texts, nil)
	}
	if problems != nil {
		return nil, "", fmt.Errorf("the result would not load, so nothing is written:\n%w", problems)
	}
	c.Is = splits[split]
	return c, after, nil
}
