package conformance

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// logs are what the echoes have logged, by namespace/name of the pod: the suite looks there
// for requests that were mirrored. Safe for concurrent use.
type logs struct {
	mu    sync.Mutex
	byPod map[string]*strings.Builder
}

// add logs a request as the suite's image echo-basic does.
func (l *logs) add(pod string, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byPod[pod] == nil {
		l.byPod[pod] = new(strings.Builder)
	}
	fmt.Fprintf(l.byPod[pod], "Echoing back request made to %s to client (%s)\n", r.RequestURI, r.RemoteAddr)
}

// ServeHTTP answers to /api/v1/namespaces/NAMESPACE/pods/NAME/log, as an API server does.
func (l *logs) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/api/v1/namespaces/"), "/")
	if len(parts) != 4 || parts[1] != "pods" || parts[3] != "log" {
		http.NotFound(w, r)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if text := l.byPod[parts[0]+"/"+parts[2]]; text != nil {
		_, _ = w.Write([]byte(text.String())) // the client may have gone
	}
}

// clientset is a client of an API server that has nothing but these logs.
func (c *cluster) clientset() kubernetes.Interface {
	server := httptest.NewServer(&c.logs)
	c.t.Cleanup(server.Close)
	clientset, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL, QPS: -1})
	if err != nil {
		c.t.Fatal(err)
	}
	return clientset
}

// podName is the name of the pod of a Service's echo.
func podName(service string) string { return service + "-1-1" }

// createPod makes the pod of a Service, so that the suite finds its log.
func (c *cluster) createPod(namespace, service string) error {
	return c.Create(c.t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: podName(service), Labels: map[string]string{"app": service}},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
	})
}
