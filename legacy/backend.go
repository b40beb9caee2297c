package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"kong-traffic-split/plugin/config"
)

// send tells Kong to send the request to b. found is false where Kong has no
// Upstream of that name; then nothing of the request has changed.
func (r *request) send(b *config.Backend) (found bool, err error) {
	if b.Service {
		return true, nil
	}
	s, err := r.askService()
	if err != nil {
		return false, err
	}
	if wrong := s.Refuse(b); wrong != nil {
		return false, misconfigured{wrong}
	}
	if s.IsIP && b.Named() {
		return false, misconfigured{fmt.Errorf("backend %q: the Service's host is the IP address %s, from which Kong 2.x cannot go over to a name or an Upstream: give the Service a host name (it need not resolve)", b.Name, s.Host)}
	}
	host, err := r.hostHeader(b, s)
	if err != nil {
		return false, err
	}
	if b.Upstream == "" {
		err = r.kong.Service.SetTarget(b.Host, b.Port)
	} else if r.kong.Service.SetUpstream(b.Upstream) != nil {
		return false, nil // the one error that Kong returns here
	}
	if err == nil && b.Protocol != "" && b.Protocol != s.Protocol {
		err = r.kong.ServiceRequest.SetScheme(b.Protocol)
	}
	if err == nil && b.Path != "" {
		err = r.setPath(b)
	}
	if err == nil && host != "" && host != b.Host { // b.Host is what set_target makes of it
		err = r.kong.ServiceRequest.SetHeader("Host", host)
	}
	return true, err
}

// setPath puts the backend's path before the one that Kong computed.
func (r *request) setPath(b *config.Backend) error {
	uri, err := r.text("kong.nginx.get_var", "upstream_uri")
	if err != nil {
		return err
	}
	return r.kong.ServiceRequest.SetPath(strings.TrimSuffix(b.Path, "/") + uri)
}

// hostHeader is the Host header that b is to receive, empty where that is Kong's
// business.
func (r *request) hostHeader(b *config.Backend, s *service) (string, error) {
	switch {
	case b.HostHeader == "preserve":
		return r.text("kong.request.get_header", "host")
	case b.HostHeader != "" || b.Upstream != "":
		return b.HostHeader, nil
	}
	// Before set_target, Kong has a host here where the route preserves it, and
	// else none.
	if host, err := r.text("kong.nginx.get_var", "upstream_host"); host != "" || err != nil {
		return host, err
	}
	return b.Authority(cmp.Or(b.Protocol, s.Protocol)), nil
}

// changeHeaders makes the backend's changes to the headers of the request and of
// its response.
func (r *request) changeHeaders(b *config.Backend) error {
	var errs []error
	each := func(values map[string]string, do func(name, value string) error) {
		for _, name := range slices.Sorted(maps.Keys(values)) {
			errs = append(errs, do(name, values[name]))
		}
	}
	each(b.RequestHeaders.Set, r.kong.ServiceRequest.SetHeader)
	for _, name := range b.RequestHeaders.Remove {
		errs = append(errs, r.kong.ServiceRequest.ClearHeader(name))
	}
	each(b.RequestHeaders.Add, r.kong.ServiceRequest.AddHeader)
	each(b.ResponseHeaders.Add, r.kong.Response.AddHeader)
	if name := r.config.ResponseHeader; name != "" {
		errs = append(errs, r.kong.Response.SetHeader(name, b.Name))
	}
	return errors.Join(errs...)
}

// service is what Kong has said of a Service, and when.
type service struct {
	config.Service
	asked time.Time
}

// askAgain is how long what Kong says of a Service is good.
const askAgain = 5 * time.Second

// askService returns the Service of the request: always the same one for a row
// that is on a route or on a Service.
func (r *request) askService() (*service, error) {
	fixed := r.RouteID != "" || r.ServiceID != ""
	if s := r.service.Load(); fixed && s != nil && time.Since(s.asked) < askAgain {
		return s, nil
	}
	// Not go-pdk's GetService: it is an error to it where a field is not as it was.
	reply, err := r.kong.Nginx.GetCtxAny("service")
	if err != nil {
		return nil, fmt.Errorf("asking Kong for the Service: %w", err)
	}
	fields, _ := reply.(map[string]any)
	protocol, _ := fields["protocol"].(string)
	host, _ := fields["host"].(string)
	s := &service{config.NewService(protocol, host), time.Now()}
	r.service.Store(s)
	return s, nil
}
