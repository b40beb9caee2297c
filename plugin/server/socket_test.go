package server

import (
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// acceptAll takes the connections of l until it is closed.
func acceptAll(l net.Listener) {
	for {
		sock, err := l.Accept()
		if err != nil {
			return
		}
		sock.Close()
	}
}

// stale leaves a socket behind as a server does that is killed.
func stale(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestListenTakesTheRightsFromItsMode(t *testing.T) {
	for _, mode := range []fs.FileMode{DefaultSocketMode, 0o666, 0o600} {
		path := socketPath(t)
		l, err := Listen(path, Access{Mode: mode}, quiet)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		there, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := there.Mode(); got != fs.ModeSocket|mode {
			t.Errorf("the socket has the mode %v, want %v", got, fs.ModeSocket|mode)
		}
	}
}

func TestListenReplacesASocketThatWasLeftBehind(t *testing.T) {
	path := socketPath(t)
	stale(t, path)
	var said strings.Builder
	l, err := Listen(path, Access{Mode: 0o600}, slog.New(slog.NewTextHandler(&said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	sock, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	sock.Close()
	if said.Len() > 0 {
		t.Errorf("the log says %s", &said)
	}
}

// Kong starts the new server before it stops the old one.
func TestListenTakesTheSocketOfAServerThatAnswers(t *testing.T) {
	path := socketPath(t)
	before, err := Listen(path, Access{Mode: 0o600}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	go acceptAll(before)
	replaced, refused := make(chan struct{}), make(chan error)
	go func() {
		for last := false; !last; {
			select {
			case <-replaced:
				last = true
			default:
			}
			sock, err := net.Dial("unix", path)
			if err != nil {
				refused <- err
				return
			}
			sock.Close()
		}
		refused <- nil
	}()
	var said strings.Builder
	after, err := Listen(path, Access{Mode: 0o600}, slog.New(slog.NewTextHandler(&said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer after.Close()
	go acceptAll(after)
	if err := before.Close(); err != nil {
		t.Error(err)
	}
	close(replaced)
	if err := <-refused; err != nil {
		t.Errorf("a connection was refused: %v", err)
	}
	if want := `level=WARN msg="another server has the socket;`; !strings.Contains(said.String(), want) {
		t.Errorf("the log says %q, want %s…", &said, want)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("the folder has %v, %v, want the socket alone", left, err)
	}
}

func TestListenRefuses(t *testing.T) {
	file, long := socketPath(t), "/"+strings.Repeat("x", 120)
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	nowhere := filepath.Join(filepath.Dir(file), "none", "s")
	for path, want := range map[string]string{
		file:    "socket " + file + ": something else than a socket is there; remove it or choose another path",
		long:    "socket " + long + ": a path of 121 bytes, and the system takes 107; choose a shorter one",
		nowhere: "socket " + nowhere + ": its folder has to exist and be writable: no such file or directory",
	} {
		if l, err := Listen(path, Access{Mode: 0o600}, quiet); err == nil || err.Error() != want {
			t.Errorf("Listen returns %v, %v, want %q", l, err, want)
		}
	}
	if got, err := os.ReadFile(file); string(got) != "precious" {
		t.Errorf("the file that was there is now %q, %v", got, err)
	}
}

func TestAListenerRemovesItsOwnSocketOnly(t *testing.T) {
	path := socketPath(t)
	first, err := Listen(path, Access{Mode: 0o600}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second, err := Listen(path, Access{Mode: 0o600}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		close func() error
		want  error
	}{
		{first.Close, nil},
		{second.Close, fs.ErrNotExist},
	} {
		if err := tt.close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, tt.want) {
			t.Errorf("the socket: %v, want %v", err, tt.want)
		}
	}
	if err := second.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a second close returns %v", err)
	}
}
