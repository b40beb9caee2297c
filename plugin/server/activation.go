package server

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
)

// firstActivated is the descriptor of the first socket that systemd hands over.
const firstActivated = 3

// Activated returns the Unix socket that this process was handed over by systemd
// (LISTEN_FDS, sd_listen_fds(3)) or by who speaks like it, nil where it was
// handed none. Closing it leaves the socket's file where it is: it belongs to
// whoever made it.
func Activated() (net.Listener, error) {
	pid, number := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS")
	if pid != strconv.Itoa(os.Getpid()) || number == "" || number == "0" {
		return nil, nil
	}
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		_ = os.Unsetenv(name) // not for processes that this one starts
	}
	if number != "1" {
		return nil, fmt.Errorf("systemd has handed over %s sockets; Kong needs one: "+
			"leave one ListenStream in the socket unit", number)
	}
	file := os.NewFile(firstActivated, "socket")
	defer file.Close()
	l, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("the socket that systemd has handed over: %w", err)
	}
	unixListener, ok := l.(*net.UnixListener)
	if !ok {
		return nil, errors.Join(fmt.Errorf("the socket that systemd has handed over is on %s, and Kong takes Unix sockets only: "+
			"ListenStream has to be a path", l.Addr()), l.Close())
	}
	unixListener.SetUnlinkOnClose(false)
	return unixListener, nil
}
