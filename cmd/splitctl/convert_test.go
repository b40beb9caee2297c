package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kong-traffic-split/kong/httproute"
)

const routeWithWeight = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop}
spec:
  parentRefs: [{name: gw}]
  rules:
  - backendRefs: [{name: a, port: 80, weight: WEIGHT}, {name: b, port: 80}]
`

// The split file follows the manifest, and stays as it is while that is wrong.
func TestConvertWatches(t *testing.T) {
	dir := t.TempDir()
	manifest, splits := filepath.Join(dir, "shop.yaml"), filepath.Join(dir, "splits.yaml")
	put := func(weight string) {
		t.Helper()
		draft := filepath.Join(dir, "draft")
		if err := os.WriteFile(draft, []byte(strings.ReplaceAll(routeWithWeight, "WEIGHT", weight)), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(draft, manifest); err != nil {
			t.Fatal(err)
		}
	}
	put("9")
	says, errs := io.Pipe()
	lines := bufio.NewScanner(says)
	said := func(want string) {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(lines.Text(), want) {
				return
			}
		}
		t.Fatalf("it did not say %q", want)
	}
	has := func(want string) {
		t.Helper()
		if text, err := os.ReadFile(splits); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%v: the split file lacks %q\n%s", err, want, text)
		}
	}
	c := conversion{
		flags: convertFlags{options: httproute.Options{To: httproute.Splits}, splits: splits, watch: true},
		files: []string{manifest}, out: io.Discard, errs: errs,
	}
	ctx, end := context.WithCancelCause(t.Context())
	ended := errors.New("ended")
	result := make(chan error)
	go func() { result <- c.watch(ctx) }()
	said("wrote " + splits)
	has("weight: 9\n")
	put("-1")
	said("spec.rules[0].backendRefs[0].weight: -1 is not in 0..1000000")
	said("nothing was written")
	has("weight: 9\n")
	if err := os.Remove(manifest); err != nil {
		t.Fatal(err)
	}
	said("no such file")
	has("weight: 9\n")
	put("7")
	said("wrote " + splits)
	has("weight: 7\n")
	end(ended)
	if err := <-result; err != ended {
		t.Errorf("it ends with %v", err)
	}
}
