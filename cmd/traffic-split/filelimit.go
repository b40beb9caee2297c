//go:build unix

package main

import (
	"os/signal"
	"syscall"
)

// A file that a limit does not let grow (ulimit -f) is an error of the write like
// any other, and not the end of the process.
func init() { signal.Ignore(syscall.SIGXFSZ) }
