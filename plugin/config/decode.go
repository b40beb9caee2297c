package config

import "reflect"

// An Option changes what is taken for right.
type Option func(*reader)

// WithoutOutcomes is the Option that refuses what a plugin server cannot do to
// which Kong does not tell what became of a request: one that was not started
// with -outcomes.
func WithoutOutcomes(r *reader) { r.noOutcomes = true }

// References is the Option that takes references to vaults for secrets, as they stand
// in Kong's own configuration: Kong sends what it has put in their place.
func References(r *reader) { r.references = true }

func newReader(options []Option) *reader {
	var r reader
	for _, set := range options {
		set(&r)
	}
	return &r
}

// row reads a plugin row.
func (r *reader) row(n *Node) *Config {
	var c Config
	r.read(&row, n, "", reflect.ValueOf(&c).Elem())
	return &c
}

// DecodeFile checks a split file and makes of each entry of its splits a
// configuration, by the entry's name. The keys of its defaults hold for the
// entries that do not have them. There are no configurations where there are
// problems.
func DecodeFile(n *Node, options ...Option) (map[string]*Config, Problems) {
	r := newReader(options)
	var to struct {
		Defaults Config
		Splits   map[string]Config
	}
	r.read(&splitFile, r.inherit(n), "", reflect.ValueOf(&to).Elem())
	if len(r.problems) > 0 {
		return nil, r.found()
	}
	splits := make(map[string]*Config, len(to.Splits))
	for name, c := range to.Splits {
		splits[name] = &c
	}
	return splits, nil
}

// maxInherited bounds the values of the defaults, written out in all splits.
const maxInherited = 200_000

// inherit gives each entry of a split file the defaults that it does not say
// itself. The values stay the same nodes, so that one that is wrong is reported
// once.
func (r *reader) inherit(file *Node) *Node {
	defaults, splits := file.Get("defaults"), file.Get("splits")
	if defaults == nil || splits == nil {
		return file
	}
	given := map[string]bool{}
	var inherited []Member
	size := 0
	for _, d := range defaults.Members {
		if !given[d.Key] && splitFile.field("defaults").field(d.Key) != nil {
			given[d.Key] = true
			inherited = append(inherited, d)
			size += d.Value.size()
		}
	}
	if all := size * len(splits.Members); all > maxInherited {
		r.report(defaults, "defaults", "are %d values, written out in all %d splits, which makes %d; at most %d are allowed: shorten their lists, or put the splits into several files", size, len(splits.Members), all, maxInherited)
		return file
	}
	merged := *splits
	merged.Members = make([]Member, len(splits.Members))
	for i, m := range splits.Members {
		entry := *m.Value
		for _, d := range inherited {
			if entry.Kind == Map && m.Value.Get(d.Key) == nil {
				entry.Members = append(entry.Members[:len(entry.Members):len(entry.Members)], d)
			}
		}
		m.Value = &entry
		merged.Members[i] = m
	}
	whole := *file
	whole.Members = nil
	for _, m := range file.Members {
		if m.Key == "splits" && m.Value == splits {
			m.Value = &merged
		}
		whole.Members = append(whole.Members, m)
	}
	return &whole
}

// size is how many values a node is, with all that is in it.
func (n *Node) size() int {
	size := 1
	for _, item := range n.Items {
		size += item.size()
	}
	for i := range n.Members {
		size += n.Members[i].Value.size()
	}
	return size
}
