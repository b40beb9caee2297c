package expression

// CanHold reports whether the expression holds for some request of which only a part is
// known: values returns the values of a field, and whether they are known.
func (e *Expression) CanHold(values func(field string) (values []Value, known bool)) bool {
	holds, _ := e.root.outcomes(values)
	return holds
}

func (n and) outcomes(values func(string) ([]Value, bool)) (holds, fails bool) {
	l, r := both(n.left, n.right, values)
	return l.holds && r.holds, l.fails || r.fails
}

func (n or) outcomes(values func(string) ([]Value, bool)) (holds, fails bool) {
	l, r := both(n.left, n.right, values)
	return l.holds || r.holds, l.fails && r.fails
}

func (n not) outcomes(values func(string) ([]Value, bool)) (holds, fails bool) {
	fails, holds = n.inner.outcomes(values)
	return holds, fails
}

func (p *predicate) outcomes(values func(string) ([]Value, bool)) (holds, fails bool) {
	found, known := values(p.field)
	if !known {
		return true, true
	}
	holds = p.eval(func(string) []Value { return found }, &Match{map[string]string{}, map[string]string{}})
	return holds, !holds
}

// outcome is what a part of an expression may come to.
type outcome struct{ holds, fails bool }

func both(left, right node, values func(string) ([]Value, bool)) (l, r outcome) {
	l.holds, l.fails = left.outcomes(values)
	r.holds, r.fails = right.outcomes(values)
	return l, r
}
