package httproute

func (c *converter) writeKIC(plans []*plan) *Output { return &Output{Splits: c.kicSplits(plans)} }
