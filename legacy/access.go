package main

import (
	"fmt"
	"log"
	"math/rand/v2"
	"runtime/debug"

	pdk "github.com/Kong/go-pdk"

	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/split"
)

// Access decides which backend gets a request, and tells Kong. An answer of the
// plugin's own comes last: after it, go-pdk must not be called any more.
func (p *Plugin) Access(kong *pdk.PDK) {
	r := &request{instance: p.instance, kong: kong}
	if err := r.decide(); err != nil {
		r.refuse(err)
	}
}

// request is one request on its way through the access phase.
type request struct {
	*instance
	kong *pdk.PDK
}

// decide makes errors of panics, of which go-pluginserver would die with all its
// plugins.
func (r *request) decide() (err error) {
	defer func() {
		if v := recover(); v != nil {
			log.Printf("panic: %v\n%s", v, debug.Stack())
			err = fmt.Errorf("panic in access: %v", v)
		}
	}()
	if r.refused != nil {
		return r.refused
	}
	f, err := r.facts()
	if err != nil {
		return err
	}
	if r.split.Algorithm == split.Random {
		f.Random = rand.Uint64()
	}
	d, err := split.Decide(r.split, r.state, &f)
	for err == nil {
		b := &r.config.Backends[d.Backend]
		found, err := r.send(b)
		if err != nil {
			return err
		}
		if found {
			return r.conclude(b, d)
		}
		if d, err = split.Instead(r.split, r.state, d, &f); err != nil {
			return fmt.Errorf("no Upstream named %q in Kong (create it, or mend the name): %w", b.Upstream, err)
		}
	}
	return err
}

// conclude tells Kong what goes with a decision besides its destination.
func (r *request) conclude(b *config.Backend, d split.Decision) error {
	if err := r.changeHeaders(b); err != nil {
		return err
	}
	if d.SetCookie != "" {
		if err := r.kong.Response.AddHeader("Set-Cookie", d.SetCookie); err != nil {
			return err
		}
	}
	if !r.config.LogDecision {
		return nil
	}
	return r.kong.Log.SetSerializeValue("traffic_split", map[string]string{
		"backend": b.Name, "reason": string(d.Reason), "revision": d.Revision,
	})
}
