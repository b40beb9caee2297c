package standin

var logMethods = map[string]pdkMethod{
	"log.alert":  logMethod(levelAlert),
	"log.crit":   logMethod(levelCrit),
	"log.err":    logMethod(levelError),
	"log.warn":   logMethod(levelWarn),
	"log.notice": logMethod(levelNotice),
	"log.info":   logMethod(levelInfo),
	"log.debug":  logMethod(levelDebug),
	"log.set_serialize_value": {phasesWithCtx, true, withKV(func(x *exchange, key string, value any) error {
		x.logged = append(x.logged, loggedValue{key, value})
		return nil
	})},
	"log.serialize": {phaseSet{log: true, names: "log"}, true, func(x *exchange, _ []byte) ([]byte, error) {
		line, err := x.serialize()
		return encodeText(string(line)), err
	}},
}

// phasesWithCtx are those in which values for the log can be set.
var phasesWithCtx = phaseSet{
	access: true, log: true, names: "rewrite, access, response, header_filter, body_filter, log",
}

// logMethod joins its arguments without anything between them. Kong does not
// name the plugin in front of what an external one logs, in no phase.
func logMethod(lv level) pdkMethod {
	return pdkMethod{anyPhase, true, func(x *exchange, args []byte) ([]byte, error) {
		values, err := decodeList(args)
		if err != nil {
			return nil, err
		}
		message := ""
		for _, value := range values {
			message += luaString(value)
		}
		x.gateway.log.print(lv, x.conn.number, "[kong] pb_rpc.lua:233 "+message, x.logContext())
		return nil, nil
	}}
}
