package declarative

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What Kong would lose is found, and nothing else: neither defaults, nor names in place of
// ids, nor ids that Kong makes anew each time.
func TestLacks(t *testing.T) {
	const live = `
_format_version: "3.0"
_transform: false
services:
- {id: b9f04b04-ab65-5e2a-b4c4-f82b7d5b781c, name: svc, host: localhost, port: 1, retries: 5, tags: ~}
routes:
- {id: 138956a1-08a3-5c2c-bc58-79f477d12f27, name: shop, paths: [/shop], service: b9f04b04-ab65-5e2a-b4c4-f82b7d5b781c, strip_path: true}
- {id: 61be9787-1359-4a91-bb88-cf69b63c8fcf, name: ~, paths: [/x], service: b9f04b04-ab65-5e2a-b4c4-f82b7d5b781c, strip_path: true}
plugins:
- {id: 2a08f905-c4bc-5b96-b665-1cf84b2ae0cc, name: traffic-split, instance_name: shop-split, route: 138956a1-08a3-5c2c-bc58-79f477d12f27, config: {backends: [{host: a, weight: 90, name: ~}], algorithm: smooth}}
consumers:
- {id: acf09174-745e-5b26-aaec-4763c149acd7, username: ann}
keyauth_credentials:
- {id: e3de73e9-93f4-4306-a07e-84889f91bf47, key: abc, consumer: acf09174-745e-5b26-aaec-4763c149acd7}
acls:
- {id: 33333333-93f4-4306-a07e-84889f91bf47, group: admins, consumer: acf09174-745e-5b26-aaec-4763c149acd7}
`
	const file = `
_format_version: "3.0"
services:
- name: svc
  url: http://localhost:1
  routes:
  - {name: shop, paths: [/shop], plugins: [{name: traffic-split, instance_name: shop-split, config: {backends: [{host: a, weight: 90}]}}]}
  - {paths: [/x]}
consumers:
- {username: ann, keyauth_credentials: [{key: abc}], acls: [{group: admins}]}
`
	for _, test := range []struct {
		name, old, new string
		want           []string
	}{
		{"nothing", "", "", nil},
		{"a weight", "weight: 90", "weight: 91", []string{"plugins traffic-split: config.backends[0].weight has another value in the file"}},
		{"a key that is not there", "weight: 90", "weight: 90, port: 7", []string{"plugins traffic-split: config.backends[0].port has another value in the file"}},
		{"a backend", "{host: a, weight: 90}", "{host: a, weight: 90}, {host: b}", []string{"plugins traffic-split: config.backends has another value in the file"}},
		{"a route", "  - {paths: [/x]}\n", "", []string{"routes 61be9787-1359-4a91-bb88-cf69b63c8fcf: is not in the file"}},
		{"a secret", "key: abc", "key: abd", []string{"keyauth_credentials e3de73e9-93f4-4306-a07e-84889f91bf47: is not in the file"}},
		{"of an entity that is not known here", "acls: [{group: admins}]", "acls: []", []string{"acls: there are 1, and 0 in the file"}},
		{"what is more", "consumers:\n", "consumers:\n- {username: bob}\n", nil},
	} {
		mine, err := Parse([]byte(strings.Replace(file, test.old, test.new, 1)))
		if err != nil {
			t.Fatal(err)
		}
		has, err := Parse([]byte(live))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, mine.Lacks(has)); diff != "" {
			t.Errorf("%s: -want +got\n%s", test.name, diff)
		}
	}
}
