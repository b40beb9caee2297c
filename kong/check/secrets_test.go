package check_test

import (
	"strings"
	"testing"

	"kong-traffic-split/kong/check"
)

// A finding about what a file has from the environment names the variable: whoever reads the
// logs of a CI is not to read secrets there.
func TestVariablesAreHidden(t *testing.T) {
	const file = `_format_version: "3.0"
services:
- name: shop
  url: http://shop.internal
  routes:
  - name: shop
    paths: [/shop]
    plugins:
    - name: traffic-split
      config: {backends: [{host: shop.internal, host_header: '${{ env "DECK_HOST" }}', port: ${{ env "DECK_PORT" }}}], algorithm: '${{ env "DECK_LONGER" }}'}
`
	values := map[string]string{"DECK_HOST": "the secret", "DECK_LONGER": "the \"secret\", and more", "DECK_PORT": "-80"}
	findings := check.Files([]check.Source{{Name: "kong.yml", Data: []byte(file)}}, check.Options{
		Lookup: func(name string) (string, bool) { v, ok := values[name]; return v, ok },
	})
	var text strings.Builder
	if err := check.WriteText(&text, findings); err != nil {
		t.Fatal(err)
	}
	if got := text.String(); strings.Contains(got, "secret") || !strings.Contains(got, `${{ env "DECK_HOST" }}`) || !strings.Contains(got, `${{ env "DECK_LONGER" }}`) || !strings.Contains(got, "-80") {
		t.Errorf("found:\n%s", got)
	}
}
