package standin

// What plugins share during a request: kong.ctx.shared, kong.nginx and kong.log.

func getShared(x *exchange, key string) ([]byte, error) { return encodeValue(x.shared[key]), nil }

func setShared(x *exchange, key string, value any) error {
	x.shared[key] = value
	return nil
}

// getCtx is a value of ngx.ctx. Of Kong's own it has those that a plugin has use for.
func getCtx(x *exchange, key string) ([]byte, error) {
	if value, ok := x.ctx[key]; ok {
		return encodeValue(value), nil
	}
	var value any
	switch key {
	case "route":
		if x.route != nil {
			value = x.route.Row
		}
	case "service":
		if x.service != nil {
			value = x.service.Row
		}
	case balancerKey:
		value = x.balancerData()
	case "KONG_PROXIED": // it was to be; that may have failed
		if x.proxied {
			value = true
		}
	case "KONG_UPSTREAM_DNS_START": // of the last try; not where the host is an address
		if t := x.times.addressSought; !t.IsZero() {
			value = float64(t.UnixMilli())
		}
	}
	return encodeValue(value), nil
}

func setCtx(x *exchange, key string, value any) error {
	if key == balancerKey {
		return x.setBalancerData(value)
	}
	x.ctx[key] = value
	return nil
}

// loggedValue is one of kong.log.set_serialize_value.
type loggedValue struct {
	key   string
	value any
}

func setSerializeValue(x *exchange, key string, value any) error {
	x.logged = append(x.logged, loggedValue{key, value})
	return nil
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
