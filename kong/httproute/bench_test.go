package httproute

import (
	"fmt"
	"strings"
	"testing"
)

// manyRoutes are so many HTTPRoutes with two backends each.
func manyRoutes(n int) []byte {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: route-%d
spec:
  parentRefs:
  - name: kong
  hostnames: [host-%d.example]
  rules:
  - matches:
    - path:
        type: PathPrefix
        value: /echo
    backendRefs:
    - name: echo
      kind: Service
      port: 1027
      weight: 90
    - name: echo2
      kind: Service
      port: 1027
      weight: 10
---
`, i, i%5000)
	}
	return []byte(b.String())
}

func BenchmarkConvert(b *testing.B) {
	sources := []Source{{"routes.yaml", manyRoutes(10_000)}}
	b.ReportAllocs()
	for b.Loop() {
		out, problems := Convert(sources, Options{})
		if Failed(problems) || len(out.Kong) < 1000 {
			b.Fatal(problems[0])
		}
	}
}
