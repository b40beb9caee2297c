//go:build linux

package keeper

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// trust returns the process at the other end of sock, where that was dialled the one that
// listens, or an error where it belongs to neither this process's user nor root: it would
// see what no other user may, and decide where requests go.
func trust(sock *net.UnixConn, user int) (pid int, err error) {
	raw, err := sock.SyscallConn()
	if err != nil {
		return 0, err
	}
	var peer *unix.Ucred
	if e := raw.Control(func(fd uintptr) { peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); e != nil {
		return 0, e
	}
	if err != nil {
		return 0, os.NewSyscallError("getsockopt", err)
	}
	if peer.Uid != uint32(user) && peer.Uid != 0 {
		return 0, fmt.Errorf("there is process %d of user %d, which is neither root nor this server's user, %d", peer.Pid, peer.Uid, user)
	}
	return int(peer.Pid), nil
}

// dialKeeper connects to the socket for successors at path, and returns the process id of
// the keeper there. The error is [ErrUntrusted] where another user listens there.
func dialKeeper(path string) (*link, int, error) {
	sock, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, 0, err
	}
	pid, err := trust(sock, os.Geteuid())
	if err != nil {
		_ = sock.Close()
		return nil, 0, fmt.Errorf("%s %w: %w; remove it, and let nobody else write to its folder", path, ErrUntrusted, err)
	}
	return &link{sock: sock}, pid, nil
}
