package config

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// suggest returns the end of a message with the word that name is likely to be a slip
// of; empty if there is none.
func suggest(name string, words []string) string {
	const longest = 40 // bytes; a longer name is not taken for a slip
	if len(name) > longest {
		return ""
	}
	best, least := "", len(name)/3+2
	for _, word := range words {
		if max(len(name), len(word))-min(len(name), len(word)) >= least { // so many slips at least
			continue
		}
		if d := distance(strings.ToLower(name), word); d < least {
			best, least = word, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + quote(best) + "?"
}

// distance returns the number of slips between two words: a byte too many, one missing,
// a wrong one or two in the wrong order (the optimal string alignment distance).
func distance(a, b string) int {
	before := make([]int, len(b)+1) // the row before the last one
	last := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			wrong := 1
			if a[i] == b[j] {
				wrong = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+wrong)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

// names returns the names of fields.
func names(fields []field) []string {
	words := make([]string, 0, len(fields))
	for _, f := range fields {
		words = append(words, f.name)
	}
	return slices.Clip(words)
}

// remedy returns the end of a message that says what to write instead of a value that is
// not of the field's kind; empty if that is not clear.
func (f *field) remedy(n *Node) string {
	switch f.kind {
	case kindString:
		if n.Kind == Number || n.Kind == Bool {
			return "; write it in quotes"
		}
	case kindInteger, kindNumber:
		if n.Kind == String {
			return f.plainNumber(strings.TrimSpace(n.Text))
		}
	case kindBoolean:
		return plainBoolean(n)
	case kindArray:
		switch e := f.elements; {
		case e.kind == kindString && (n.Kind == String || n.Kind == Number) && e.wrong(n.Text) == "":
			return "; write [" + quote(n.Text) + "]"
		case f.example != "":
			return "; for example " + f.example
		}
	case kindMap, kindRecord:
		if f.example != "" {
			return "; for example " + f.example
		}
	}
	return ""
}

// plainNumber returns the end of a message about a number that is written as a string.
func (f *field) plainNumber(text string) string {
	if number, ok := strings.CutSuffix(text, "%"); ok {
		number = strings.TrimSpace(number)
		percent, err := strconv.ParseFloat(number, 64)
		switch {
		case err != nil || !(percent >= 0 && percent <= 100):
		case f.unit == unitShare:
			return relative(percent, 100, " %")
		case f.unit == unitPercent:
			return "; write " + number
		case f.unit == unitRatio:
			return "; write " + inDigits(percent/100)
		}
		return ""
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return "; write it without quotes"
	}
	if f.unit == unitSeconds {
		if seconds, ok := inSeconds(text); ok {
			return "; it is in seconds: " + inDigits(seconds)
		}
		return "; it is a number of seconds"
	}
	return ""
}

// fraction returns the end of a message about a number that has to be an integer.
func (f *field) fraction(n *Node) string {
	v, err := strconv.ParseFloat(n.Text, 64)
	switch {
	case err != nil || f.unit != unitShare || v <= 0:
		return ""
	case v < 1:
		return relative(v, 1, "")
	}
	if ratio := lowest(v, 1); ratio[1] != "1" {
		return "; weights are relative: " + strings.Join(ratio, " and ") + " share as " + inDigits(v) + " and 1 do"
	}
	return ""
}

// rangeHint returns the end of a message about a number that is out of its range.
func (f *field) rangeHint(v float64) string {
	switch {
	case f.unit != unitRatio:
		return ""
	case v >= 1 && v < 100:
		return "; " + inDigits(v/100) + " is " + inDigits(v) + " %"
	}
	return "; 0.05 is 5 %"
}

// relative returns the end of a message with the weights for a part of a whole and the
// rest of it.
func relative(part, whole float64, unit string) string {
	rest := whole - part
	high, low := max(part, rest), min(part, rest)
	if low == 0 {
		return "; weights are relative, and 0 takes nothing"
	}
	return "; weights are relative: " + strings.Join(lowest(high, low), " and ") +
		" share as " + inDigits(rounded(high)) + unit + " and " + inDigits(rounded(low)) + unit + " do"
}

// lowest returns the ratio of two numbers in lowest terms. Decimals after the sixth are
// ignored.
func lowest(a, b float64) []string {
	x, y := int64(math.Round(a*1e6)), int64(math.Round(b*1e6))
	r, s := x, y
	for s != 0 {
		r, s = s, r%s
	}
	r = max(r, 1)
	return []string{strconv.FormatInt(x/r, 10), strconv.FormatInt(y/r, 10)}
}

func rounded(v float64) float64 { return math.Round(v*1e6) / 1e6 }

// inSeconds parses a time as people write it: 90s, 5 min, 1h30m, 2d.
func inSeconds(text string) (seconds float64, ok bool) {
	text = strings.NewReplacer(" ", "", "min", "m", "sec", "s").Replace(strings.ToLower(text))
	if days, isDays := strings.CutSuffix(text, "d"); isDays {
		n, err := strconv.ParseFloat(days, 64)
		return n * 86400, err == nil && n >= 0 && n < 1e6
	}
	d, err := time.ParseDuration(text)
	return InSeconds(d), err == nil && d >= 0
}

// plainBoolean returns the end of a message about a value that is not true or false.
func plainBoolean(n *Node) string {
	write := ""
	switch strings.ToLower(n.Text) {
	case "true", "yes", "on", "1":
		write = "; write true"
	case "false", "no", "off", "0":
		write = "; write false"
	}
	if write != "" && n.Kind == String {
		write += " without quotes"
	}
	return write
}
