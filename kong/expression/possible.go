package expression

// CanHold reports whether the expression holds for some request of which only a part is
// known: values returns the values of a field, and whether they are known.
func (e *Expression) CanHold(values func(field string) (values []Value, known bool)) bool {
	holds, _ := e.root.outcomes(values)
	return holds
}

func (n and) outcomes(values func(string) ([]Value, bool)) (holds, fails bool) {
	leftHolds, leftFails := n.left.outcomes(values)
	rightHolds, rightFails := n.right.outcomes(values)
	return leftHolds && rightHolds, leftFails || rightFails
}

func (n or) outcomes(values func(string) ([]Value, bool)) (holds, fails bool) {
	leftHolds, leftFails := n.left.outcomes(values)
	rightHolds, rightFails := n.right.outcomes(values)
	return leftHolds || rightHolds, leftFails && rightFails
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
