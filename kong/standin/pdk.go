package standin

// A pdkMethod is a function of Kong's PDK that a plugin server may call.
type pdkMethod struct {
	phases phaseSet
	// inTimer: it works in the log phase of an external plugin, which Kong
	// runs in a timer, after the request. The others touch the request.
	inTimer bool
	call    func(x *exchange, args []byte) (reply []byte, err error)
}

// phaseSet are the phases in which Kong allows a function.
type phaseSet struct {
	access, preread, log bool
	names                string // as Kong lists them; empty: any phase
}

var (
	anyPhase          = phaseSet{access: true, preread: true, log: true}
	phasesOfAccess    = phaseSet{access: true, names: "access"}
	phasesOfTarget    = phaseSet{access: true, preread: true, names: "rewrite, access, balancer, preread"}
	phasesOfRequest   = phaseSet{access: true, names: "rewrite, access, balancer"}
	phasesOfChange    = phaseSet{access: true, names: "rewrite, access"}
	phasesOfBody      = phaseSet{access: true, names: "rewrite, access, response, error, admin_api"}
	phasesOfAnswers   = phaseSet{access: true, names: "rewrite, access, balancer, response, header_filter, error, admin_api"}
	phasesAfterAnswer = phaseSet{log: true, names: "response, header_filter, body_filter, log, error, admin_api"}
	phasesOfService   = phaseSet{log: true, names: "response, header_filter, body_filter, log"}
)

// checkPhase raises an error where the phase is none of these.
func checkPhase(x *exchange, s phaseSet) error {
	if x.phase == phaseAccess && s.access || x.phase == phasePreread && s.preread || x.phase == phaseLog && s.log {
		return nil
	}
	return raise("function cannot be called in %s phase (only in: %s)", x.phase, s.names)
}

// answer answers a call of the plugin server.
func (x *exchange) answer(method string, args []byte) ([]byte, error) {
	m, ok := pdkMethods[method]
	if own, differs := streamMethods[method]; differs && x.stream != nil {
		m = own
	}
	if !ok {
		return nil, failed{`method "` + method + `" not found`}
	}
	if err := checkPhase(x, m.phases); err != nil {
		return nil, err
	}
	if x.phase == phaseLog && !m.inTimer {
		return nil, raise("API disabled in the context of ngx.timer")
	}
	return m.call(x, args)
}

// pdkMethods are all that are offered, by name.
var pdkMethods = map[string]pdkMethod{}

func init() {
	for _, group := range []map[string]pdkMethod{
		clientMethods, logMethods, nginxMethods, requestMethods, responseMethods, serviceMethods,
	} {
		for name, m := range group {
			pdkMethods["kong."+name] = m
		}
	}
}

// text, integer and number make calls that only ask for a fact.
func text(of func(x *exchange) string) func(*exchange, []byte) ([]byte, error) {
	return func(x *exchange, _ []byte) ([]byte, error) { return encodeText(of(x)), nil }
}

func integer(of func(x *exchange) int) func(*exchange, []byte) ([]byte, error) {
	return func(x *exchange, _ []byte) ([]byte, error) { return encodeInt(of(x)), nil }
}

func number(of func(x *exchange) float64) func(*exchange, []byte) ([]byte, error) {
	return func(x *exchange, _ []byte) ([]byte, error) { return encodeNumber(of(x)), nil }
}

// withText makes a call of a function that takes a text.
func withText(do func(x *exchange, text string) ([]byte, error)) func(*exchange, []byte) ([]byte, error) {
	return func(x *exchange, args []byte) ([]byte, error) {
		text, err := decodeText(args)
		if err != nil {
			return nil, err
		}
		return do(x, text)
	}
}

// withKV makes a call of a function that takes a name and a value.
func withKV(do func(x *exchange, key string, value any) error) func(*exchange, []byte) ([]byte, error) {
	return func(x *exchange, args []byte) ([]byte, error) {
		key, value, err := decodeKV(args)
		if err != nil {
			return nil, err
		}
		return nil, do(x, key, value)
	}
}

// withTable makes a call of a function that takes a table.
func withTable(do func(x *exchange, table map[string]any) error) func(*exchange, []byte) ([]byte, error) {
	return func(x *exchange, args []byte) ([]byte, error) {
		table, err := decodeStruct(args)
		if err != nil {
			return nil, err
		}
		return nil, do(x, table)
	}
}
