package expression

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// maxDepth is how deep parentheses and functions may be nested.
const maxDepth = 200

// Error says where an expression is wrong, in the form of Kong's parser.
type Error struct {
	text   string
	offset int // in bytes
	length int // of what is wrong; 0: it is one place
	reason string
}

func (e *Error) Error() string {
	before := e.text[:e.offset]
	line := strings.Count(before, "\n") + 1
	start := strings.LastIndexByte(before, '\n') + 1
	column := len([]rune(before[start:])) + 1
	whole, _, _ := strings.Cut(e.text[start:], "\n")
	mark := "^---"
	if n := len([]rune(e.text[e.offset : e.offset+e.length])); n > 1 {
		mark = "^" + strings.Repeat("-", n-2) + "^"
	}
	margin := strings.Repeat(" ", len(strconv.Itoa(line)))
	return fmt.Sprintf("%[1]s--> %[2]d:%[3]d\n%[1]s |\n%[2]d | %[4]s\n%[1]s | %[5]s%[6]s\n%[1]s |\n%[1]s = %[7]s",
		margin, line, column, whole, strings.Repeat(" ", column-1), mark, e.reason)
}

// oldPort is the name that net.dst.port had in Kong before 3.4.
var oldPort = regexp.MustCompile(`net\.port(\s*[=><!])`)

// Parse reads an expression of a route, of a request or, where stream is set, of a
// connection. It refuses what Kong refuses.
func Parse(text string, stream bool) (*Expression, error) {
	text = oldPort.ReplaceAllString(text, "net.dst.port$1")
	p := &parser{text: text}
	root, err := p.expression(0)
	if err != nil {
		return nil, err
	}
	if p.skip(); p.at < len(text) {
		return nil, p.expected("EOI, and_op, or or_op")
	}
	e := &Expression{root: root}
	for _, predicate := range root.predicates() {
		if err := predicate.check(stream); err != nil {
			return nil, err
		}
		e.fields = append(e.fields, predicate.field)
	}
	slices.Sort(e.fields)
	e.fields = slices.Compact(e.fields)
	return e, e.checkSegments()
}

// A parser reads a text by recursive descent.
type parser struct {
	text string
	at   int // offset of what comes next
}

func (p *parser) skip() {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
}

// take reports whether the token comes next, and goes behind it.
func (p *parser) take(token string) bool {
	p.skip()
	if strings.HasPrefix(p.text[p.at:], token) {
		p.at += len(token)
		return true
	}
	return false
}

// expected is the error of a text that goes on in another way than it has to.
func (p *parser) expected(what string) error {
	p.skip()
	return &Error{p.text, p.at, 0, "expected " + what}
}

// wrong is the error of what was read since start.
func (p *parser) wrong(start int, reason string) error {
	return &Error{p.text, start, p.at - start, reason}
}

// expression reads terms that are joined: || binds tighter than &&.
func (p *parser) expression(depth int) (node, error) {
	var all node
	for {
		some, err := p.term(depth)
		if err != nil {
			return nil, err
		}
		for p.take("||") {
			next, err := p.term(depth)
			if err != nil {
				return nil, err
			}
			some = or{some, next}
		}
		if all == nil {
			all = some
		} else {
			all = and{all, some}
		}
		if !p.take("&&") {
			return all, nil
		}
	}
}

// term reads a predicate, or an expression in parentheses, perhaps negated.
func (p *parser) term(depth int) (node, error) {
	p.skip()
	start := p.at
	negated := p.take("!")
	if !p.take("(") {
		if p.at = start; negated || p.at == len(p.text) || !isLetter(p.text[p.at]) {
			return nil, p.expected("term")
		}
		return p.predicate()
	}
	if depth == maxDepth {
		return nil, p.wrong(start, fmt.Sprintf("parentheses are nested deeper than %d", maxDepth))
	}
	inner, err := p.expression(depth + 1)
	if err != nil {
		return nil, err
	}
	if !p.take(")") {
		return nil, p.expected("and_op or or_op")
	}
	if negated {
		return not{inner}, nil
	}
	return inner, nil
}

// operators are tried in this order.
var operators = []string{"==", "!=", "~", "^=", "=^", ">=", ">", "<=", "<", "in", "not in", "contains"}

func (p *parser) predicate() (node, error) {
	q := &predicate{}
	if err := p.field(q, 0); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(operators, p.take)
	if i < 0 {
		return nil, p.expected("binary_operator")
	}
	q.operator = operators[i]
	p.skip()
	start := p.at
	var err error
	if q.operand, err = p.literal(); err != nil {
		return nil, err
	}
	if q.operator != "~" {
		return q, nil
	}
	text, ok := q.operand.(string)
	if !ok {
		return nil, p.wrong(start, "regex operator can only be used with String operands")
	}
	if q.regex, err = Compile(text); err != nil {
		return nil, p.wrong(start, err.Error())
	}
	return q, nil
}

// field reads the name of a field, perhaps within functions.
func (p *parser) field(q *predicate, depth int) error {
	p.skip()
	start := p.at
	if p.at == len(p.text) || !isLetter(p.text[p.at]) {
		return p.expected("lhs")
	}
	for p.at < len(p.text) && (isLetter(p.text[p.at]) || isDigit(p.text[p.at]) || p.text[p.at] == '_' || p.text[p.at] == '.') {
		p.at++
	}
	q.field = p.text[start:p.at]
	function, end := q.field, p.at
	if !p.take("(") {
		p.at = end
		return nil
	}
	if depth == maxDepth {
		return p.wrong(start, fmt.Sprintf("functions are nested deeper than %d", maxDepth))
	}
	if err := p.field(q, depth+1); err != nil {
		return err
	}
	if !p.take(")") {
		return p.expected(`")"`)
	}
	switch function {
	case "lower":
		q.lower = true
	case "any":
		q.any = true
	default:
		return p.wrong(start, "unknown transformation function: "+function)
	}
	return nil
}

// The forms of literals that are no strings, in the order in which they are tried.
var (
	cidr4Form   = regexp.MustCompile(`^[0-9]{1,3}(?:\.[0-9]{1,3}){3}/[0-9]{1,2}`)
	cidr6Form   = regexp.MustCompile(`^(?::|[0-9A-Fa-f]{1,4}):(?:[0-9A-Fa-f]{1,4}|:)*/[0-9]{1,3}`)
	ip4Form     = regexp.MustCompile(`^[0-9]{1,3}(?:\.[0-9]{1,3}){3}`)
	ip6Form     = regexp.MustCompile(`^(?::|[0-9A-Fa-f]{1,4}):(?:[0-9A-Fa-f]{1,4}|:)*`)
	integerForm = regexp.MustCompile(`^-?(?:0[0-7]+|0x[0-9A-Fa-f]+|[0-9]+)`)
)

// literal reads what a field is compared with.
func (p *parser) literal() (any, error) {
	start := p.at
	switch {
	case p.take(`r#"`):
		text, _, ok := strings.Cut(p.text[p.at:], `"#`)
		if !ok {
			p.at = len(p.text)
			return nil, &Error{p.text, p.at, 0, "expected rawstr_char"}
		}
		p.at += len(text) + 2
		return text, nil
	case p.take(`"`):
		return p.quoted()
	}
	read := func(form *regexp.Regexp) (string, bool) {
		found := form.FindString(p.text[start:])
		p.at = start + len(found)
		return found, found != ""
	}
	for _, form := range []*regexp.Regexp{cidr4Form, cidr6Form} {
		if text, ok := read(form); ok {
			block, err := netip.ParsePrefix(text)
			if err != nil {
				return nil, p.wrong(start, err.Error())
			}
			if block != block.Masked() {
				return nil, p.wrong(start, "host part of address was not zero")
			}
			return block, nil
		}
	}
	for _, form := range []*regexp.Regexp{ip4Form, ip6Form} {
		if text, ok := read(form); ok {
			address, err := netip.ParseAddr(text)
			if err != nil {
				return nil, p.wrong(start, err.Error())
			}
			return address, nil
		}
	}
	text, ok := read(integerForm)
	if !ok {
		return nil, p.expected("rhs")
	}
	n, err := strconv.ParseInt(octalOrDecimal(text), 0, 64)
	if err != nil {
		return nil, p.wrong(start, "number too large to fit in target type")
	}
	return n, nil
}

// octalOrDecimal drops zeros before a number that is not octal: 08 is 8.
func octalOrDecimal(text string) string {
	digits := strings.TrimPrefix(text, "-")
	if !strings.HasPrefix(digits, "0x") && strings.ContainsAny(digits, "89") {
		return text[:len(text)-len(digits)] + strings.TrimLeft(digits, "0")
	}
	return text
}

// quoted reads a string behind its quotation mark.
func (p *parser) quoted() (any, error) {
	var b strings.Builder
	for p.at < len(p.text) {
		c := p.text[p.at]
		switch {
		case c == '"':
			p.at++
			return b.String(), nil
		case c != '\\':
			b.WriteByte(c)
			p.at++
			continue
		}
		i := -1
		if p.at+1 < len(p.text) {
			i = strings.IndexByte(`"\nrt`, p.text[p.at+1])
		}
		if i < 0 {
			break
		}
		b.WriteByte("\"\\\n\r\t"[i])
		p.at += 2
	}
	return nil, &Error{p.text, p.at, 0, "expected str_char or str_esc"}
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func decimal(n int) string { return strconv.Itoa(n) }
