package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"

	"kong-traffic-split/kong/wire"
)

// standBy has one stand by at path, and returns its log, and how it ends.
func standBy(t *testing.T, path string) (said *logs, free <-chan error) {
	t.Helper()
	said = new(logs)
	s := &StandBy{Path: path, Plugin: "traffic-split", Log: slog.New(slog.NewTextHandler(said, nil))}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Wait(ctx) }()
	t.Cleanup(cancel)
	return said, ended
}

func awaitLog(t *testing.T, said *logs, text string) {
	t.Helper()
	for end := time.Now().Add(patience); !strings.Contains(said.String(), text); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the log has %q, want %q", said, text)
		}
	}
}

func TestAServerStandsByWhileAnotherOneAnswers(t *testing.T) {
	s := serve(t, pluginOf(nil))
	said, free := standBy(t, s.path)
	awaitLog(t, said, "another server answers on the socket: this one stands by")
	s.stop()
	if err := <-free; err != nil {
		t.Error(err)
	}
}

// Who has the socket and does not answer, or is something else, is not robbed of it.
func TestAServerStandsByWhileAnotherOneDoesNotAnswer(t *testing.T) {
	other, err := proto.Marshal(&pb.RpcReturn{Return: &pb.RpcReturn_PluginNames{
		PluginNames: &pb.PluginNames{Names: []string{"other", strings.Repeat("x", 1<<20)}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for name, does := range map[string]func(net.Conn){
		`a server of [\"other\" \"xxx`: func(sock net.Conn) {
			_, _ = wire.ReadFrame(sock, nil)
			_, _ = sock.Write(wire.AppendFrame(nil, other))
		},
		"no answer within 1s": func(net.Conn) {},
		"frame of 1347703880 bytes": func(sock net.Conn) {
			_, _ = sock.Read(make([]byte, 1024))
			_, _ = sock.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := socketPath(t)
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				for {
					sock, err := l.Accept()
					if err != nil {
						return
					}
					defer sock.Close()
					does(sock)
				}
			}()
			said, free := standBy(t, path)
			awaitLog(t, said, "another server has the socket, and does not answer")
			awaitLog(t, said, name)
			if length, most := len(said.String()), 2*maxReason; length > most {
				t.Errorf("%d bytes are logged, %d are enough", length, most)
			}
			_ = l.Close()
			if err := <-free; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestNobodyIsWaitedFor(t *testing.T) {
	left := socketPath(t)
	stale(t, left)
	for _, path := range []string{left, socketPath(t), "/" + strings.Repeat("x", 120)} {
		if _, free := standBy(t, path); <-free != nil {
			t.Errorf("%s is not free", path)
		}
	}
}

// Whoever was faster has the socket.
func TestTheSocketIsTakenMeanwhile(t *testing.T) {
	s := serve(t, pluginOf(nil))
	late := &StandBy{Path: s.path, Plugin: "traffic-split", Log: quiet}
	if _, err := late.Listen(t.Context(), Access{Mode: 0o600}, false); !errors.Is(err, ErrTaken) {
		t.Errorf("Listen returns %v", err)
	}
	l, err := late.Listen(t.Context(), Access{Mode: 0o600}, true)
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
}

// A socket that is removed, or left by a server that had taken its place, is there again.
func TestASocketThatIsGoneIsOpenedAnew(t *testing.T) {
	for name, takes := range map[string]func(t *testing.T, path string){
		"removed": func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		},
		"left": func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			stale(t, path)
		},
	} {
		t.Run(name, func(t *testing.T) {
			path, said := socketPath(t), new(logs)
			l, err := Listen(path, Access{Mode: 0o600}, slog.New(slog.NewTextHandler(said, nil)))
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go acceptAll(l)
			takes(t, path)
			awaitLog(t, said, "the socket was gone, and is opened anew")
			sock, err := net.Dial("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer sock.Close()
			_ = sock.SetReadDeadline(time.Now().Add(patience))
			if _, err := sock.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("nobody accepts there")
			}
		})
	}
}

func TestAFolderThatOthersMayWriteTo(t *testing.T) {
	for mode, warned := range map[os.FileMode]bool{0o700: false, 0o755: false, 0o775: true, 0o1777: true} {
		path, said := socketPath(t), new(logs)
		if err := os.Chmod(filepath.Dir(path), mode&os.ModePerm); err != nil {
			t.Fatal(err)
		}
		l, err := Listen(path, Access{Mode: 0o600}, slog.New(slog.NewTextHandler(said, nil)))
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
		if got := strings.Contains(said.String(), "others may write to the socket's folder"); got != warned {
			t.Errorf("mode %o: the log has %q", mode, said)
		}
	}
}
