package server

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// peerPID is the process at the other end of a connection, of one that was dialled the
// one that listens; of a listener it is the process that made it one. 0: not known.
func peerPID(of any) int {
	sock, ok := of.(syscall.Conn)
	if !ok {
		return 0
	}
	raw, err := sock.SyscallConn()
	if err != nil {
		return 0
	}
	var peer *unix.Ucred
	if raw.Control(func(fd uintptr) { peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }) != nil || err != nil {
		return 0
	}
	return int(peer.Pid)
}
