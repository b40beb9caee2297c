package check

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/file"
)

// ignores are the comments of a file by which findings are left out.
type ignores struct {
	whole map[string]bool         // the checks, for the whole file
	lines map[int]map[string]bool // the checks, by line
}

// comment is `# splitctl:ignore ID,ID reason`, for the line that it is on, or for the next
// one if it is alone on its line; `splitctl:ignore-file` is for the whole file.
var comment = regexp.MustCompile(`(?:^|[ \t])#[ \t]*splitctl:(ignore-file|ignore)(?:[ \t]+([\w,-]+))?`)

// readIgnores reads the comments of a file, and reports those that do nothing.
func (c *checker) readIgnores(name, text string) {
	found := &ignores{map[string]bool{}, map[int]map[string]bool{}}
	pending := map[string]bool{} // by comments on the lines just before
	number := 0
	if strings.Contains(text, "splitctl:") {
		text = file.WithoutStrings(text, isSplitFile)
	}
	for line := range strings.Lines(text) {
		number++
		alone := strings.HasPrefix(strings.TrimSpace(line), "#")
		ids := map[string]bool{}
		if at := comment.FindStringSubmatchIndex(line); at != nil {
			list := ""
			if at[4] >= 0 {
				list = line[at[4]:at[5]]
			}
			for id := range strings.SplitSeq(strings.Trim(list, ","), ",") {
				place := config.Problem{Line: number, Column: utf8.RuneCountInString(line[:at[2]]) - len("splitctl:") + 1}
				if check := byID(id); check == nil {
					place.Message = fmt.Sprintf("there is no check %q to ignore; the table of checks is in docs/splitctl.md", id)
					c.report(wrongIgnore, name, place)
				} else if check.refusal {
					place.Message = fmt.Sprintf("%s cannot be ignored, as the file would be refused all the same: mend it", id)
					c.report(wrongIgnore, name, place)
				} else if line[at[2]:at[3]] == "ignore-file" {
					found.whole[id] = true
				} else {
					ids[id] = true
				}
			}
		}
		if alone {
			for id := range ids {
				pending[id] = true
			}
			continue
		}
		for id := range pending {
			ids[id] = true
		}
		clear(pending)
		if len(ids) > 0 {
			found.lines[number] = ids
		}
	}
	if c.ignores == nil {
		c.ignores = map[string]*ignores{}
	}
	c.ignores[name] = found
}

// isSplitFile reports whether a text, such as one in a ConfigMap, is a split file.
func isSplitFile(text string) bool {
	index, problem := file.NewIndex(text)
	return problem == nil && has(index.Keys(), splitKeys...)
}

// has reports whether a finding is to be left out.
func (i *ignores) has(f Finding) bool {
	return i != nil && (i.whole[f.ID] || i.lines[f.Line][f.ID])
}
