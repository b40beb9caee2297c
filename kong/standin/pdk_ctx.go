package standin

// What plugins share during a request: kong.ctx.shared, kong.nginx and kong.log.

func getShared(x *exchange, key string) (any, error) { return luaValue{x.shared[key]}, nil }

func setShared(x *exchange, v keyValue) (any, error) {
	x.shared[v.key] = v.value
	return nil, nil
}

// getCtx is a value of ngx.ctx. Of Kong's own it has those that a plugin has use for.
func getCtx(x *exchange, key string) (any, error) {
	if value, ok := x.ctx[key]; ok {
		return luaValue{value}, nil
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
	return luaValue{value}, nil
}

func setCtx(x *exchange, v keyValue) (any, error) {
	if v.key == balancerKey {
		return nil, x.setBalancerData(v.value)
	}
	x.ctx[v.key] = v.value
	return nil, nil
}

func setSerializeValue(x *exchange, v keyValue) (any, error) {
	x.logged = append(x.logged, v)
	return nil, nil
}

// logs joins its arguments without anything between them. Kong does not
// name the plugin in front of what an external one logs, in no phase.
func logs(lv level) func(*exchange, []any) (any, error) {
	return func(x *exchange, values []any) (any, error) {
		line := ""
		for _, value := range values {
			line += luaString(value)
		}
		x.gateway.log.print(lv, x.conn.number, "[kong] pb_rpc.lua:233 "+line, x.logContext())
		return nil, nil
	}
}
