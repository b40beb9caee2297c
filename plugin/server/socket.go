package server

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Access says who may connect to a socket: Kong's workers have to be able to
// write to it.
type Access struct {
	Mode fs.FileMode
	// User and Group are who owns the socket, by name or by number; empty: who
	// runs this process.
	User, Group string
}

// DefaultSocketMode lets the user and the group connect.
const DefaultSocketMode fs.FileMode = 0o660

// maxSocketPath is the longest path of a Unix socket, in bytes, without the
// zero that ends it.
const maxSocketPath = len(syscall.RawSockaddrUnix{}.Path) - 1

// dialTime is how long a server may take to accept.
const dialTime = time.Second

// Listen returns a listener on the Unix socket at path, for those who have access.
//
// A socket that is there already is replaced, in one step, so that at no moment
// a connection is refused: when Kong reloads, it starts the new server before
// it stops the old one, whose connections go on until then. A server that still
// answers on the socket is told of in log, as it may be there by mistake. It is
// an error when what is there is not a socket. Closing the listener removes the
// socket, unless another has taken its place.
//
// Kong's image removes every socket that it finds in its prefix, and in the
// prefix's folder sockets, before it starts Kong. A server that runs beside it
// needs a path elsewhere.
func Listen(path string, access Access, log *slog.Logger) (net.Listener, error) {
	l, err := listen(path, access, log)
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	return l, nil
}

func listen(path string, access Access, log *slog.Logger) (net.Listener, error) {
	// A name of its own, in the same folder, until it is ready to take connections.
	temp := filepath.Join(filepath.Dir(path), fmt.Sprintf(".%08x", rand.Uint32()))
	if longest := max(len(path), len(temp)); longest > maxSocketPath {
		return nil, fmt.Errorf("a path of %d bytes, and the system takes %d; choose a shorter one", longest, maxSocketPath)
	}
	there, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case there.Mode().Type() != fs.ModeSocket:
		return nil, errors.New("something else than a socket is there; remove it or choose another path")
	}
	if sock, err := net.DialTimeout("unix", path, dialTime); err == nil {
		_ = sock.Close()
		log.Warn("another server answers on the socket; it gets no new connections from now on, and should be stopped", "socket", path)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: temp, Net: "unix"})
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) { // which names temp
			err = op.Err
		}
		return nil, fmt.Errorf("its folder has to exist and be writable: %w", err)
	}
	l.SetUnlinkOnClose(false)
	own, err := os.Lstat(temp)
	if err == nil {
		err = access.grant(temp)
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close(), os.Remove(temp))
	}
	return &listener{UnixListener: l, path: path, own: own}, nil
}

// grant gives a socket its owner and then its mode: who makes it may not be one
// of the group that the mode lets in.
func (a Access) grant(path string) error {
	uid, err := number(a.User, func(name string) (string, error) {
		u, err := user.Lookup(name)
		if err != nil {
			return "", err
		}
		return u.Uid, nil
	})
	if err != nil {
		return fmt.Errorf("the socket's user: %w", err)
	}
	gid, err := number(a.Group, func(name string) (string, error) {
		g, err := user.LookupGroup(name)
		if err != nil {
			return "", err
		}
		return g.Gid, nil
	})
	if err != nil {
		return fmt.Errorf("the socket's group: %w", err)
	}
	if err := os.Chown(path, uid, gid); err != nil {
		return fmt.Errorf("the socket's owner cannot be changed (root may, others to a group of their own only): %w", err)
	}
	return os.Chmod(path, a.Mode)
}

// number is the number of a user or a group, -1 where it is not to change.
func number(name string, lookup func(string) (string, error)) (int, error) {
	if name == "" {
		return -1, nil
	}
	if n, err := strconv.ParseUint(name, 10, 31); err == nil {
		return int(n), nil
	}
	text, err := lookup(name)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(text)
}

// A listener removes its socket when it is closed.
type listener struct {
	*net.UnixListener
	path string
	own  os.FileInfo
	once sync.Once
}

// Addr is where the socket is now.
func (l *listener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

func (l *listener) Close() error {
	err := net.ErrClosed
	l.once.Do(func() {
		// Before it is closed: until then no other file can get its inode.
		if there, err := os.Lstat(l.path); err == nil && os.SameFile(there, l.own) {
			_ = os.Remove(l.path)
		}
		err = l.UnixListener.Close()
	})
	return err
}
