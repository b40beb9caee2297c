package status

import (
	"math"
	"strconv"
	"time"
)

// percentage writes a part of a whole in percent, with as many digits as a reader needs.
func percentage(part float64) string {
	switch p := part * 100; {
	case p > 0 && p < 0.01:
		return "<0.01 %"
	case p >= 10:
		return strconv.FormatFloat(math.Round(p*10)/10, 'f', -1, 64) + " %"
	default:
		return strconv.FormatFloat(math.Round(p*100)/100, 'f', -1, 64) + " %"
	}
}

// grouped writes a number with a comma before each three digits.
func grouped(n uint64) string {
	text := strconv.FormatUint(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// duration writes a number of seconds as a latency.
func duration(seconds float64) string {
	if ms := seconds * 1000; ms < 1000 {
		return strconv.FormatFloat(ms, 'f', decimals(ms), 64) + " ms"
	}
	return strconv.FormatFloat(seconds, 'f', decimals(seconds), 64) + " s"
}

func decimals(n float64) int {
	if n < 10 && n != math.Trunc(n) {
		return 1
	}
	return 0
}

// A Moment is a time as a reader at now needs it.
type Moment struct{ at, now time.Time }

// IsZero reports whether it is not known.
func (m Moment) IsZero() bool { return m.at.IsZero() }

// Machine returns it for machines.
func (m Moment) Machine() string { return m.at.UTC().Format(time.RFC3339) }

// Clock returns the time of the day, with the day if that is another one than now's.
func (m Moment) Clock() string {
	at, now := m.at.UTC(), m.now.UTC()
	if at.YearDay() == now.YearDay() && at.Year() == now.Year() {
		return at.Format("15:04:05") + " UTC"
	}
	return at.Format("2006-01-02 15:04") + " UTC"
}

// Away returns how far it is from now, in words.
func (m Moment) Away() string {
	d := m.at.Sub(m.now)
	switch {
	case d >= time.Second:
		return "in " + span(d)
	case d <= -time.Second:
		return span(-d) + " ago"
	}
	return "now"
}

// span writes a duration of a second or more in its two largest units.
func span(d time.Duration) string {
	units := []struct {
		of   time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}}
	for i, u := range units {
		if d < u.of {
			continue
		}
		text := strconv.FormatInt(int64(d/u.of), 10) + " " + u.name
		// from ten on, or in minutes, the smaller unit says little
		if i+1 < len(units) && d < 10*u.of && u.of > time.Minute {
			if rest := d % u.of / units[i+1].of; rest > 0 {
				text += " " + strconv.FormatInt(int64(rest), 10) + " " + units[i+1].name
			}
		}
		return text
	}
	return "0 s"
}
