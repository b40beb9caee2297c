package config

import (
	"errors"
	"strconv"
	"strings"
)

// parseDecimal parses a number of JSON's grammar exactly, in time that does not depend on
// its exponent. It returns the number times 10^decimals, or the nearest int; ok is false
// if the number has more decimals than that. 3.0 and 1e2 have none, 1.5 has one.
func parseDecimal(text string, decimals int) (n int, ok bool) {
	mantissa, exponent := text, 0
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		mantissa = text[:i]
		e, err := strconv.ParseInt(text[i+1:], 10, 32) // out of range: the nearest
		if err != nil && e == 0 {
			return 0, false
		}
		exponent = int(e)
	}
	sign := ""
	if strings.HasPrefix(mantissa, "-") {
		sign, mantissa = "-", mantissa[1:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := whole + fraction
	point := len(whole) + exponent + decimals // where the decimal point is in digits, or outside of them
	point -= len(digits) - len(strings.TrimLeft(digits, "0"))
	digits = strings.Trim(digits, "0")

	switch {
	case digits == "":
		return 0, true
	case point < len(digits):
		return 0, false
	}
	const more = 20 // digits than an int has
	digits += strings.Repeat("0", min(point, more)-min(len(digits), more))
	n, err := strconv.Atoi(sign + digits) // out of range: the nearest
	return n, !errors.Is(err, strconv.ErrSyntax)
}
