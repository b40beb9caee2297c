// Package kong owns what runs Kong: the declarative configuration of the demo
// and the images that docker-compose.yml puts together.
package kong

import _ "embed"

// Config is kong.yml: a route shared out between two echo services.
//
//go:embed kong.yml
var Config []byte
