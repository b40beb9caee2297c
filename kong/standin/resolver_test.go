package standin

import (
	"context"
	"errors"
	"testing"
)

func TestResolverOfAddresses(t *testing.T) {
	r := newResolver(nil, "")
	for host, want := range map[string]error{"10.0.0.1": nil, "[::1]": nil, "[::ffff:10.0.0.1]": errBadIPv6, "fe80::1%eth0": errBadIPv6} {
		if _, err := r.one(context.Background(), host); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", host, err, want)
		}
	}
}
