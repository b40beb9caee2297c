//go:build !linux

package apiserver

import "syscall"

func dieWithTest() *syscall.SysProcAttr { return nil }
