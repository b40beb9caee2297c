package apiserver

import "syscall"

// dieWithTest has a program end with the process that started it, if that is killed.
func dieWithTest() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
