package spec

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"net"
	"net/http"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// gateway is the gateway of a script: a real Kong or the stand-in, set up by
// the same variables.
type gateway struct {
	proxy, admin string // addresses
	prefix       string
	workers      int
	env          []string
	engine
}

// An engine is what runs a gateway.
type engine interface {
	start(g *gateway) error // returns when it serves, or why it does not
	reload() error          // returns when it was told to
	stop() error            // may be called at any time
	log() string            // the error log
	// awaitConfig returns when every worker works by the configuration that was
	// posted when the log was that long.
	awaitConfig(g *gateway, logged int) error
}

// errNotStarted is why a gateway has not started, as it says itself.
type errNotStarted string

func (e errNotStarted) Error() string { return "the gateway did not start:\n" + string(e) }

// cmdGateway starts the gateway with a declarative file. Negated, it has to
// refuse to start; what it says is then the standard error.
func (s *scene) cmdGateway(args []string) (string, error) {
	const usage = "gateway [-http2] [-https port] [-managed [-standby]] [-postgres] [-workers number] [-conf name=value]... kong.yml | gateway reload"
	if len(args) == 1 && args[0] == "reload" && s.gateway != nil && s.plugin == nil {
		return "", s.gateway.renewPlugin()
	}
	flags := flag.NewFlagSet("gateway", flag.ContinueOnError)
	http2 := flags.Bool("http2", false, "")
	https := flags.String("https", "", "")
	managed := flags.Bool("managed", false, "")
	standby := flags.Bool("standby", false, "")
	postgres := flags.Bool("postgres", false, "")
	flags.IntVar(&s.workers, "workers", s.workers, "")
	var settings []string
	flags.Func("conf", "", func(setting string) error {
		name, value, _ := strings.Cut(setting, "=")
		settings = append(settings, "KONG_"+strings.ToUpper(name)+"="+value)
		return nil
	})
	args, err := parse(flags, args, usage, 1, 1)
	if err != nil {
		return "", err
	}
	if s.gateway != nil || (s.plugin == nil) != *managed {
		return "", errors.New("gateway comes once: after plugin, or -managed without it, and then perhaps reload")
	}
	text, err := s.expand(args[0])
	if err != nil {
		return "", err
	}
	file, err := s.writeFile("kong.yml", text)
	if err != nil {
		return "", err
	}
	settings = append(s.pluginServer(!*standby), settings...)
	if *postgres {
		s.database, err = startDatabase()
		if err != nil {
			return "", err
		}
		settings = append(settings, s.database.settings()...)
	}
	g, err := newGateway(s, file, *http2, *https, settings)
	if err != nil {
		return "", err
	}
	s.gateway = g
	s.ts.Setenv("admin", g.admin)
	s.ts.Setenv("proxy", g.proxy)
	_, port, _ := net.SplitHostPort(g.proxy) // the gateway listens there
	s.ts.Setenv("proxy_port", port)
	s.ts.Setenv("declarative", file)
	if *postgres {
		if err := s.database.fill(g, g.engine.(*kong), text); err != nil {
			return "", err
		}
	}
	err = g.start(g)
	if notStarted, ok := errors.AsType[errNotStarted](err); ok {
		_, err = s.ts.Stderr().Write([]byte(notStarted))
		return notStarted.Error(), err
	}
	return "", err
}

// pluginServes is what the log says of a plugin server that the gateway has started,
// with its process id.
var pluginServes = regexp.MustCompile(`\[traffic-split:(\d+)\].*serving.*plugin=traffic-split`)

// renewPlugin reloads the gateway and waits until the plugin server that it has
// started anew has taken over from the former one, which has ended.
func (g *gateway) renewPlugin() error {
	log := g.log()
	served := pluginServes.FindAllStringSubmatch(log, -1)
	if len(served) == 0 {
		return errors.New("no plugin server has served before the reload")
	}
	former, err := strconv.Atoi(served[len(served)-1][1])
	if err != nil {
		return err
	}
	if err := g.reload(); err != nil {
		return err
	}
	err = await(func() bool {
		return pluginServes.MatchString(g.log()[len(log):]) && hasEnded(former)
	})
	if err != nil {
		return fmt.Errorf("another plugin server: %w", err)
	}
	return nil
}

// newGateway sets a gateway up. The settings are environment variables.
func newGateway(s *scene, file string, http2 bool, https string, settings []string) (*gateway, error) {
	proxy, err := freePort()
	if err != nil {
		return nil, err
	}
	admin, err := freePort()
	if err != nil {
		return nil, err
	}
	g := &gateway{
		proxy:   fmt.Sprintf("127.0.0.1:%d", proxy),
		admin:   fmt.Sprintf("127.0.0.1:%d", admin),
		prefix:  filepath.Join(s.dir, "kong"),
		workers: s.workers,
	}
	listen := g.proxy
	if http2 {
		listen += " http2"
	}
	if https != "" {
		listen += ", 127.0.0.1:" + https + " ssl"
	}
	g.env = []string{
		"KONG_ADMIN_GUI_LISTEN=off", // by default on ports that are the same for every Kong
		"KONG_ADMIN_LISTEN=" + g.admin,
		"KONG_ANONYMOUS_REPORTS=off",
		"KONG_DATABASE=off",
		"KONG_DECLARATIVE_CONFIG=" + file,
		"KONG_LOG_LEVEL=info",
		"KONG_NGINX_WORKER_PROCESSES=" + strconv.Itoa(s.workers),
		"KONG_PLUGINS=key-auth,request-termination,redirect,request-transformer,response-transformer,post-function,file-log,traffic-split",
		"KONG_PLUGINSERVER_NAMES=traffic-split",
		"KONG_PREFIX=" + g.prefix,
		"KONG_PROXY_LISTEN=" + listen,
		"KONG_STATUS_LISTEN=off",
	}
	g.env = append(g.env, settings...)
	if path := kongPath(); path != "" {
		g.engine = &kong{path: path, env: append(g.env, nginxUser()...), prefix: g.prefix}
	} else {
		g.engine = &standin{splitctl: filepath.Join(s.bin, "splitctl")}
	}
	return g, nil
}

// pluginServer tells the gateway of the plugin server that runs beside it, or
// how to start one, which takes over at once where that is said.
func (s *scene) pluginServer(takeOver bool) []string {
	const variable = "KONG_PLUGINSERVER_TRAFFIC_SPLIT_"
	if s.plugin != nil {
		return []string{
			variable + "QUERY_CMD=cat " + s.plugin.info,
			variable + "SOCKET=" + s.plugin.socket,
		}
	}
	socket := filepath.Join(s.dir, "plugin.socket")
	command := filepath.Join(s.bin, "traffic-split") + " -socket " + socket
	started := command
	if takeOver {
		started += " -takeover"
	}
	return []string{
		variable + "QUERY_CMD=" + command + " -dump",
		variable + "SOCKET=" + socket,
		variable + "START_CMD=" + started,
	}
}

// nginxUser lets nginx's workers be who runs the scripts, so that they may use
// the files and the socket of the script. Only root's nginx can choose.
func nginxUser() []string {
	if u, err := user.Current(); err == nil && u.Uid == "0" {
		return []string{"KONG_NGINX_USER=" + u.Username}
	}
	return nil
}

// serves reports whether the gateway takes connections and its Admin API answers.
// It sends nothing through the gateway, since that would move a rotation on. The
// Admin API's answer may be an error: Kong 3.9 has one at / where it starts the
// plugin server itself.
func (g *gateway) serves() bool {
	conn, err := net.Dial("tcp", g.proxy)
	if err != nil {
		return false
	}
	_ = conn.Close()
	_, err = sendHTTP1(g.admin, request{method: http.MethodGet, target: "/"})
	return err == nil
}

// cmdConfig gives the running gateway other declarative files, one after another
// and that many times. Negated, the gateway has to refuse the first; what is wrong
// is then the standard output, a line for each thing.
func (s *scene) cmdConfig(args []string) (string, error) {
	flags := flag.NewFlagSet("config", flag.ContinueOnError)
	times := flags.Int("times", 1, "")
	files, err := parse(flags, args, "config [-times number] kong.yml...", 1, math.MaxInt)
	if err != nil {
		return "", err
	}
	if s.gateway == nil {
		return "", errors.New("no gateway is running")
	}
	for range *times {
		for _, file := range files {
			text, err := s.expand(file)
			if err != nil {
				return "", err
			}
			if problems, err := s.gateway.post(text); problems != "" || err != nil {
				_, cannot := s.ts.Stdout().Write([]byte(problems))
				return problems, errors.Join(err, cannot)
			}
		}
	}
	return "", nil
}

// post gives the gateway a declarative configuration and waits until every
// worker works by it. It returns what is wrong with it, empty where it was
// taken.
func (g *gateway) post(declarative string) (string, error) {
	body, err := json.Marshal(map[string]string{"config": declarative})
	if err != nil {
		return "", err
	}
	logged := len(g.log())
	a, err := sendHTTP1(g.admin, request{
		method: http.MethodPost, target: "/config?flatten_errors=1",
		headers: []string{"Content-Type: application/json"}, body: string(body),
	})
	switch {
	case err != nil:
		return "", err
	case a.status == http.StatusBadRequest:
		return problemsOf(a.body)
	case a.status != http.StatusCreated:
		return "", fmt.Errorf("POST /config: status %d: %s", a.status, a.body)
	}
	return "", g.awaitConfig(g, logged)
}

// problemsOf lists what POST /config finds wrong, as "field: message", or the
// message alone where it is about the whole.
func problemsOf(body []byte) (string, error) {
	var refusal struct {
		Message   string
		Flattened []struct {
			Errors []struct{ Field, Message string }
		} `json:"flattened_errors"`
	}
	if err := json.Unmarshal(body, &refusal); err != nil {
		return "", fmt.Errorf("POST /config: %w: %s", err, body)
	}
	var lines []string
	for _, entity := range refusal.Flattened {
		for _, e := range entity.Errors {
			lines = append(lines, strings.TrimPrefix(e.Field+": "+e.Message, ": "))
		}
	}
	if len(lines) == 0 {
		lines = []string{refusal.Message}
	}
	return sortedLines(lines), nil
}
