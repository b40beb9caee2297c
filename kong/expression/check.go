package expression

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// A kind is the type of a field or a literal.
type kind int

const (
	unknown kind = iota
	text
	integer
	address
	block
)

// Fields of requests and of connections, and those of requests only. One that ends in .*
// stands for all names without a dot in that place.
var (
	commonFields = map[string]kind{
		"net.protocol": text, "tls.sni": text, "net.src.port": integer, "net.dst.port": integer,
		"net.src.ip": address, "net.dst.ip": address,
	}
	httpFields = map[string]kind{
		"http.method": text, "http.host": text, "http.path": text, "http.path.segments.*": text,
		"http.path.segments.len": integer, "http.headers.*": text, "http.queries.*": text,
	}
)

func kindOfField(name string, stream bool) kind {
	if k := commonFields[name]; k != unknown || stream {
		return k
	}
	if k := httpFields[name]; k != unknown {
		return k
	}
	return httpFields[name[:strings.LastIndexByte(name, '.')+1]+"*"]
}

func kindOf(operand any) kind {
	switch operand.(type) {
	case string:
		return text
	case int64:
		return integer
	case netip.Addr:
		return address
	}
	return block
}

// check reports a field, an operator and a literal that do not go together.
func (p *predicate) check(stream bool) error {
	field, operand := kindOfField(p.field, stream), kindOf(p.operand)
	contained := p.operator == "in" || p.operator == "not in"
	switch {
	case field == unknown:
		return refusal("Unknown LHS field")
	case p.operator != "~" && !contained && field != operand:
		return refusal("Type mismatch between the LHS and RHS values of predicate")
	case p.lower && field != text:
		return refusal("lower-case transformation function only supported with String type fields")
	}
	switch p.operator {
	case "~":
		if field != text {
			return refusal("Regex operators only supports string operands")
		}
	case "^=", "=^":
		if operand != text {
			return refusal("Regex/Prefix/Postfix operators only supports string operands")
		}
	case "contains":
		if operand != text {
			return refusal("Contains operator only supports string operands")
		}
	case ">", ">=", "<", "<=":
		if operand != integer {
			return refusal("Greater/GreaterOrEqual/Lesser/LesserOrEqual operators only supports integer operands")
		}
	case "in", "not in":
		if field != address || operand != block {
			return refusal("In/NotIn operators only supports IP in CIDR")
		}
	}
	return nil
}

// A refusal is one of Kong's sentences.
type refusal string

func (r refusal) Error() string { return string(r) }

var segmentsForm = regexp.MustCompile(`^(0|[1-9]\d*)(?:_([1-9]\d*))?$`)

// checkSegments reports a range of a path's segments that is none.
func (e *Expression) checkSegments() error {
	for _, field := range e.fields {
		name, ok := strings.CutPrefix(field, "http.path.segments.")
		if !ok || name == "len" {
			continue
		}
		m := segmentsForm.FindStringSubmatch(name)
		if m != nil && m[2] == "" {
			continue
		}
		if m != nil {
			from, err := strconv.Atoi(m[1])
			to, err2 := strconv.Atoi(m[2])
			if err == nil && err2 == nil && from < to {
				continue
			}
		}
		return refusal("illformed http.path.segments.* field")
	}
	return nil
}
