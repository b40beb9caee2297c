// Command demo is splitctl's demo alone: it compiles in a fraction of the time, for those
// who begin with it.
package main

import (
	"kong-traffic-split/cmd/command"
	"kong-traffic-split/cmd/command/demo"
)

func main() {
	c := demo.Command()
	c.SilenceUsage, c.SilenceErrors = true, true
	command.Main(c)
}
