package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"kong-traffic-split/spec/bench/kong"
)

// How many requests of a contestant are played before the measurement, and how many
// of the last ones count: the first ones make Kong start an instance, and that asks
// for more.
const (
	rehearsed = 40
	recorded  = 30
)

// rehearse prepares each contestant's request and returns the calls that its server
// makes for one, as they were seen between Kong and the server; then Kong is left
// alone with the servers.
func (s *setup) rehearse(ctx context.Context) (calls map[string][]string, err error) {
	defer func() {
		for _, r := range s.recorders {
			err = errors.Join(err, r.stop())
		}
	}()
	err = kong.Await("Kong", func() bool {
		conn, err := net.Dial("tcp", s.address)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
	if err != nil {
		return nil, err
	}
	calls = map[string][]string{}
	for i := range s.all {
		c := &s.all[i]
		if err := s.prepare(ctx, c); err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		if r := s.recorders[c.plugin]; r != nil {
			events := r.take()
			if len(events) != rehearsed {
				return nil, fmt.Errorf("%s: its server handled %d events of %d requests", c.name, len(events), rehearsed)
			}
			calls[c.name] = usual(events[rehearsed-recorded:])
		}
	}
	return calls, nil
}

// prepare plays a contestant's requests, the first of which may give the cookie for
// the rest.
func (s *setup) prepare(ctx context.Context, c *contestant) error {
	request := c.request(s.address, "")
	for i := range rehearsed {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		r, err := ask(s.address, request)
		if err != nil {
			return err
		}
		if err := c.check(&r); err != nil {
			return err
		}
		if i == 0 && c.returning {
			cookie, has := r.header("set-cookie")
			if !has {
				return errors.New("its client was given no cookie")
			}
			cookie, _, _ = bytes.Cut(cookie, []byte(";"))
			request = c.request(s.address, string(cookie))
			c.answers = map[string]float64{string(r.body): 1}
		}
	}
	s.requests[c.name] = request
	return nil
}

// check returns what is wrong with a response.
func (c *contestant) check(r *response) error {
	if r.status != 200 {
		return fmt.Errorf("status %d: %s", r.status, r.body)
	}
	if _, ok := c.answers[string(r.body)]; !ok {
		return fmt.Errorf("the backend answered %q, which is none of %q", r.body, keys(c.answers))
	}
	return nil
}

// ask sends one request on a connection of its own.
func ask(address string, request []byte) (response, error) {
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return response{}, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return response{}, err
	}
	if _, err := conn.Write(request); err != nil {
		return response{}, err
	}
	var all []byte
	for buf := make([]byte, maxResponse); ; {
		n, err := conn.Read(buf)
		all = append(all, buf[:n]...)
		r, short := readResponse(all)
		switch {
		case short == nil:
			return r, nil
		case short != errShort:
			return response{}, short
		case err == io.EOF:
			return response{}, io.ErrUnexpectedEOF
		case err != nil:
			return response{}, err
		}
	}
}
