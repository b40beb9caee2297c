package standin

// A pdkMethod is how the gateway answers a call of Kong's PDK.
type pdkMethod struct {
	phases phaseSet
	// inTimer: it works in the log phase of an external plugin, which Kong
	// runs in a timer, after the request. The others touch the request.
	inTimer bool
	call    func(x *exchange, args []byte) (reply []byte, err error)
}

// phaseSet are the phases in which Kong allows a method.
type phaseSet struct {
	access, preread, log bool
	names                string // as Kong lists them; empty: any phase
}

var (
	anyPhase        = phaseSet{access: true, preread: true, log: true}
	phasesOfReading = phaseSet{
		access: true, log: true,
		names: "rewrite, access, balancer, response, cluster_listener, header_filter, body_filter, log, error, admin_api",
	}
	phasesOfClient    = phaseSet{access: true, log: true, names: "access, response, header_filter, body_filter, log"}
	phasesOfLogging   = phaseSet{access: true, log: true, names: "rewrite, access, response, header_filter, body_filter, log"}
	phasesOfUpstream  = phaseSet{access: true, names: "access"}
	phasesOfTarget    = phaseSet{access: true, preread: true, names: "rewrite, access, balancer, preread"}
	phasesOfRequest   = phaseSet{access: true, names: "rewrite, access, balancer"}
	phasesOfChange    = phaseSet{access: true, names: "rewrite, access"}
	phasesOfAnswers   = phaseSet{access: true, names: "rewrite, access, balancer, response, header_filter, error, admin_api"}
	phasesAfterAnswer = phaseSet{log: true, names: "response, header_filter, body_filter, log, error, admin_api"}
)

// pdkMethods are those of wire.Methods.
var pdkMethods = map[string]pdkMethod{
	"kong.client.get_consumer":     {phasesOfClient, true, handle(getConsumer)},
	"kong.client.get_credential":   {phasesOfClient, true, handle(getCredential)},
	"kong.client.get_forwarded_ip": {anyPhase, false, text(func(x *exchange) string { return x.clientIP })},

	"kong.ctx.shared.get": {anyPhase, true, handle(getShared)},
	"kong.ctx.shared.set": {anyPhase, true, handle(setShared)},

	"kong.log.err":                 {anyPhase, true, handle(logs(levelError))},
	"kong.log.set_serialize_value": {phasesOfLogging, true, handle(setSerializeValue)},
	"kong.log.warn":                {anyPhase, true, handle(logs(levelWarn))},

	"kong.nginx.get_ctx": {anyPhase, true, handle(getCtx)},
	"kong.nginx.get_var": {anyPhase, false, handle(getVar)},
	"kong.nginx.set_ctx": {anyPhase, true, handle(setCtx)},

	"kong.request.get_forwarded_scheme": {phasesOfReading, false, text((*exchange).forwardedScheme)},
	"kong.request.get_header":           {phasesOfReading, true, handle(getHeader)},
	"kong.request.get_headers":          {phasesOfReading, true, handle(getHeaders)},
	"kong.request.get_method":           {phasesOfReading, false, text(func(x *exchange) string { return x.r.Method })},
	"kong.request.get_path":             {phasesOfReading, false, text((*exchange).path)},
	"kong.request.get_raw_body":         {phasesOfRequest, false, handle(getRawBody)},
	"kong.request.get_raw_query":        {phasesOfReading, false, text(func(x *exchange) string { return x.args })},
	"kong.request.get_uri_captures":     {phasesOfReading, true, handle(getURICaptures)},

	"kong.response.add_header": {phasesOfAnswers, false, handle(addResponseHeader)},
	"kong.response.exit":       {phasesOfAnswers, false, handle(exit)},
	"kong.response.get_header": {phasesAfterAnswer, true, handle(getResponseHeader)},
	"kong.response.get_source": {phasesAfterAnswer, true, text((*exchange).source)},
	"kong.response.get_status": {phasesAfterAnswer, true, handle(getStatus)},
	"kong.response.set_header": {phasesOfAnswers, false, handle(setResponseHeader)},

	"kong.service.request.add_header":  {phasesOfChange, false, handle(addRequestHeader)},
	"kong.service.request.set_header":  {phasesOfRequest, false, handle(setRequestHeader)},
	"kong.service.request.set_headers": {phasesOfChange, false, handle(setRequestHeaders)},
	"kong.service.request.set_path":    {phasesOfRequest, false, handle(setPath)},
	"kong.service.request.set_scheme":  {phasesOfRequest, false, handle(setScheme)},
	"kong.service.set_target":          {phasesOfTarget, false, handle(setTarget)},
	"kong.service.set_upstream":        {phasesOfUpstream, false, handle(setUpstream)},
}

// streamMethods are those that differ on a TCP connection.
var streamMethods = map[string]pdkMethod{
	"kong.response.exit": {anyPhase, false, handle(exitStream)},
	// In the log phase, Kong reads these from what it has kept of a request.
	"kong.request.get_header":  {phasesOfReading, true, handle(noRequest)},
	"kong.request.get_headers": {phasesOfReading, true, handle(noRequest)},
}

// handle makes a method's call of a function that takes its decoded arguments.
func handle[A any](do func(x *exchange, args A) (reply any, err error)) func(*exchange, []byte) ([]byte, error) {
	return func(x *exchange, message []byte) ([]byte, error) {
		var args A
		if err := decode(message, &args); err != nil {
			return nil, err
		}
		reply, err := do(x, args)
		return encode(reply), err
	}
}

// text makes one of a function that only says something.
func text(ask func(x *exchange) string) func(*exchange, []byte) ([]byte, error) {
	return handle(func(x *exchange, _ none) (any, error) { return ask(x), nil })
}

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
