// Package apiserver runs Kubernetes' API server with etcd on this machine, for tests: the
// one that answers kubectl, without nodes and containers.
package apiserver

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// Executable is the environment variable that names kube-apiserver's executable, where it
// is not in the PATH; build.sh builds it.
const Executable = "SPEC_KUBE_APISERVER"

// Users, each of which has a token of the same name.
const (
	Admin = "admin" // may do everything
	Pod   = "pod"   // the service account kong-kong of the namespace kong
)

// patience is how long anything may take on a machine that is busy with much else.
const patience = 2 * time.Minute

// A Server is an API server that runs.
type Server struct {
	t        testing.TB
	dir      string
	path     string
	etcd     string
	port     string
	running  *exec.Cmd
	Output   *bytes.Buffer // of the API server
	released chan struct{}
}

// Start starts an API server, which ends with the test. It skips the test where there is
// no kube-apiserver or no etcd.
func Start(t testing.TB) *Server {
	t.Helper()
	path := os.Getenv(Executable)
	if path == "" {
		found, err := exec.LookPath("kube-apiserver")
		if err != nil {
			t.Skipf("there is no kube-apiserver: %s is not set, and it is not in the PATH; cmd/traffic-split-controller/apiserver/build.sh builds it", Executable)
		}
		path = found
	}
	etcd, err := exec.LookPath("etcd")
	if err != nil {
		t.Skip("there is no etcd (Debian: etcd-server)")
	}
	s := &Server{t: t, dir: t.TempDir(), path: path, port: freePort(t)}
	s.etcd = "http://127.0.0.1:" + freePort(t)
	peers := "http://127.0.0.1:" + freePort(t)
	s.run(exec.Command(etcd, "--data-dir", filepath.Join(s.dir, "etcd"), "--listen-client-urls", s.etcd, "--advertise-client-urls", s.etcd,
		"--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers, "--initial-cluster", "default="+peers), io.Discard)
	s.prepare()
	s.Serve()
	return s
}

// prepare writes the files that the API server reads.
func (s *Server) prepare() {
	s.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		s.t.Fatal(err)
	}
	s.write("sa.key", pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	s.write("tokens", []byte(Admin+",admin,1,system:masters\n"+Pod+",system:serviceaccount:kong:kong-kong,2,\"system:serviceaccounts,system:serviceaccounts:kong\"\n"))
}

func (s *Server) write(name string, content []byte) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), content, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// Serve starts the API server, again after a Stop, and waits until it is ready.
func (s *Server) Serve() {
	s.t.Helper()
	in := func(name string) string { return filepath.Join(s.dir, name) }
	s.Output = &bytes.Buffer{}
	s.running = exec.Command(s.path, "--etcd-servers", s.etcd, "--bind-address", "127.0.0.1", "--secure-port", s.port, "--cert-dir", in("certs"),
		"--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", in("sa.key"), "--service-account-signing-key-file", in("sa.key"),
		"--token-auth-file", in("tokens"), "--authorization-mode", "RBAC", "--service-cluster-ip-range", "10.0.0.0/24",
		"--disable-admission-plugins", "ServiceAccount", "--profiling=false", "--endpoint-reconciler-type", "none")
	s.released = s.run(s.running, s.Output)
	s.await(func() error {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}, Timeout: 5 * time.Second}
		request, err := http.NewRequest("GET", s.URL()+"/readyz", nil)
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "Bearer "+Admin)
		answer, err := client.Do(request)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", answer.Status, body)
		}
		return err
	})
}

// Stop kills the API server. What it has stored stays.
func (s *Server) Stop() {
	s.t.Helper()
	if err := s.running.Process.Kill(); err != nil {
		s.t.Fatal(err)
	}
	<-s.released
}

// run starts a program that ends with the test. The channel is closed when it has ended.
func (s *Server) run(c *exec.Cmd, output io.Writer) chan struct{} {
	s.t.Helper()
	c.Stdout, c.Stderr = output, output
	c.SysProcAttr = dieWithTest()
	if err := c.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = c.Wait()
	}()
	s.t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGKILL)
		<-ended
	})
	return ended
}

// await waits until try has no error.
func (s *Server) await(try func() error) {
	s.t.Helper()
	deadline, stop := context.WithTimeout(s.t.Context(), patience)
	defer stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-s.released:
			s.t.Fatalf("the API server has ended:\n%s", last(s.Output.String()))
		case <-deadline.Done():
			s.t.Fatalf("the API server is not ready: %v\n%s", err, last(s.Output.String()))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func last(text string) string {
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}

// URL is where it answers.
func (s *Server) URL() string { return "https://127.0.0.1:" + s.port }

// Config is how a client of this machine connects as a user.
func (s *Server) Config(user string) *rest.Config {
	return &rest.Config{Host: s.URL(), BearerToken: user, TLSClientConfig: rest.TLSClientConfig{Insecure: true}, QPS: 1000, Burst: 1000}
}

// Kubeconfig writes a kubeconfig for a user and returns its path.
func (s *Server) Kubeconfig(user string) string {
	s.t.Helper()
	name := "kubeconfig-" + user
	s.write(name, []byte(fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: %q, insecure-skip-tls-verify: true}}]
users: [{name: test, user: {token: %s}}]
contexts: [{name: test, context: {cluster: test, user: test}}]
current-context: test
`, s.URL(), user)))
	return filepath.Join(s.dir, name)
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
