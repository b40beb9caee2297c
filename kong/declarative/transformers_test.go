package declarative

import (
	"slices"
	"testing"
)

// TestTransformers has the answers of Kong 3.9.3 to configs of redirect and of the
// transformers.
func TestTransformers(t *testing.T) {
	loader, err := NewLoader([]string{"bundled"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for row, want := range map[string][]string{
		`{name: redirect, config: {}}`:                                                    {"config.location: required field missing"},
		`{name: redirect, config: {location: x}}`:                                         {"config.location: missing host in url"},
		`{name: redirect, config: {location: 'http://'}}`:                                 {"config.location: missing host in url"},
		`{name: redirect, config: {location: //a/b}}`:                                     {"config.location: missing scheme in url"},
		`{name: redirect, config: {location: 'ftp://a/b'}}`:                               nil,
		`{name: redirect, config: {location: 'http://a/b c'}}`:                            nil,
		`{name: redirect, config: {location: 'http://a', status_code: 600}}`:              {"config.status_code: value should be between 100 and 599"},
		`{name: response-transformer, config: {add: {headers: [X]}}}`:                     {"config.add.headers.1: invalid value: X"},
		`{name: response-transformer, config: {remove: {headers: ['a b']}}}`:              nil,
		`{name: response-transformer, config: {rename: {headers: ['a:b c']}}}`:            {"config.rename.headers.1: 'b c' is not a valid header"},
		`{name: response-transformer, config: {add: {headers: ['a b:c']}}}`:               nil,
		`{name: response-transformer, config: {add: {json: ['a:1'], json_types: [int]}}}`: {"config.add.json_types.1: expected one of: boolean, number, string"},
		`{name: request-transformer, config: {add: {headers: ['a b:c']}}}`:                {"config.add.headers.1: 'a b' is not a valid header"},
		`{name: request-transformer, config: {add: {headers: [a]}}}`:                      {"config.add.headers.1: invalid value: a"},
		`{name: request-transformer, config: {remove: {headers: ['a b']}}}`:               {"config.remove.headers.1: 'a b' is not a valid header"},
		`{name: request-transformer, config: {add: {querystring: [a]}}}`:                  {"config.add.querystring.1: key 'a' has no value"},
		`{name: request-transformer, config: {add: {headers: ['a:b:c']}}}`:                nil,
		`{name: request-transformer, config: {http_method: get}}`:                         {"config.http_method: invalid value: get"},
		`{name: request-transformer, config: {replace: {uri: ''}}}`:                       {"config.replace.uri: length must be at least 1"},
	} {
		t.Run(row, func(t *testing.T) {
			var got []string
			for _, p := range problemsOf(t, loader, "plugins: ["+row+"]") {
				got = append(got, p.Field+": "+p.Message)
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}
