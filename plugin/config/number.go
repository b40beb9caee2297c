package config

import (
	"errors"
	"strconv"
	"strings"
)

// exactDigits is how many digits of a decimal number a float64 keeps, whatever it is.
const exactDigits = 15

// isZero reports whether a number of JSON's grammar is 0.
func isZero(text string) bool {
	n, ok := parseDecimal(text, 0)
	return ok && n == 0
}

// parseDecimal parses a number of JSON's grammar exactly, in time that does not depend on
// its exponent. It returns the number times 10^decimals, or the nearest int; ok is false
// if the number has more decimals than that. 3.0 and 1e2 have none, 1.5 has one.
//
// Kong writes 16 digits of a number, one more than all numbers of that length have, so that
// it makes 0.08799999999999999 of 0.088: of a fraction with so many, 15 count.
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
	case point < len(digits) && len(digits) > exactDigits && decimals > 0:
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return 0, false
		}
		return parseDecimal(strconv.FormatFloat(v, 'g', exactDigits, 64), decimals)
	case point < len(digits):
		return 0, false
	}
	const more = 20 // digits than an int has
	digits += strings.Repeat("0", min(point, more)-min(len(digits), more))
	n, err := strconv.Atoi(sign + digits) // out of range: the nearest
	return n, !errors.Is(err, strconv.ErrSyntax)
}
