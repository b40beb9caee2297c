package spec

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"

	"gopkg.in/yaml.v3"
)

// database is a PostgreSQL of a script's own, for a real Kong.
type database struct {
	*process
	log    logbook
	folder string
	port   int
}

// postgresTool returns the path of one of PostgreSQL's executables, which Debian does not
// have in the PATH; empty: there is none.
func postgresTool(name string) string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if path, err := exec.LookPath(name); err == nil {
		found = append(found, path)
	}
	if len(found) == 0 {
		return ""
	}
	return found[0]
}

// asPostgres returns a command that runs as a user that PostgreSQL accepts: it does not
// run as root.
func asPostgres(path string, args ...string) []string {
	command := append([]string{path}, args...)
	if os.Getuid() == 0 {
		command = append([]string{"setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"}, command...)
	}
	return command
}

// startDatabase starts a PostgreSQL with an empty database kong.
func startDatabase() (*database, error) {
	folder, err := os.MkdirTemp("/tmp", "specpg")
	if err != nil {
		return nil, err
	}
	d := &database{folder: folder}
	if d.port, err = freePort(); err != nil {
		return d, err
	}
	if os.Getuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			return d, err
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		if err := os.Chown(folder, uid, gid); err != nil {
			return d, err
		}
	}
	data := filepath.Join(folder, "data")
	initdb := asPostgres(postgresTool("initdb"), "-D", data, "-A", "trust", "-U", "kong", "--no-sync")
	if out, err := exec.Command(initdb[0], initdb[1:]...).CombinedOutput(); err != nil {
		return d, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	server := asPostgres(postgresTool("postgres"), "-D", data, "-p", strconv.Itoa(d.port),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="+folder, "-c", "fsync=off")
	if d.process, err = start(&d.log, nil, server[0], server[1:]...); err != nil {
		return d, err
	}
	create := postgresTool("createdb")
	return d, await(func() bool {
		return exec.Command(create, "-h", "127.0.0.1", "-p", strconv.Itoa(d.port), "-U", "kong", "kong").Run() == nil
	})
}

// settings are those of Kong for the database.
func (d *database) settings() []string {
	return []string{
		"KONG_DATABASE=postgres", "KONG_DECLARATIVE_CONFIG=", "KONG_PG_HOST=127.0.0.1", "KONG_PG_PORT=" + strconv.Itoa(d.port),
		"KONG_PG_USER=kong", "KONG_PG_DATABASE=kong", "KONG_DB_UPDATE_FREQUENCY=0.1", "KONG_WORKER_STATE_UPDATE_FREQUENCY=0.1",
	}
}

func (d *database) end() error {
	var err error
	if d.process != nil {
		err = d.stop()
	}
	return errors.Join(err, os.RemoveAll(d.folder))
}

// fill has Kong make its tables and take the services, routes and plugins of a file, one
// by one: its own import fails where there is an external plugin. Kong is started for
// that and stopped.
func (d *database) fill(g *gateway, e *kong, text string) error {
	cmd := exec.Command(e.path, "migrations", "bootstrap", "-p", e.prefix)
	cmd.Env = append(environ(), e.env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kong migrations: %w\n%s", err, out)
	}
	if err := e.start(g); err != nil {
		return err
	}
	var file map[string]any
	if err := yaml.Unmarshal([]byte(text), &file); err != nil {
		return err
	}
	if err := create(g, "", file, "services", "routes", "plugins"); err != nil {
		return err
	}
	return e.stop()
}

// create creates the rows of the first entity, and inside of each those of the others.
func create(g *gateway, inside string, rows map[string]any, entities ...string) error {
	list, _ := rows[entities[0]].([]any)
	for _, row := range list {
		row := row.(map[string]any)
		own := map[string]any{}
		for key, value := range row {
			if len(entities) == 1 || key != entities[1] {
				own[key] = value
			}
		}
		body, err := json.Marshal(own)
		if err != nil {
			return err
		}
		a, err := sendHTTP1(g.admin, request{
			method: http.MethodPost, target: inside + "/" + entities[0],
			headers: []string{"Content-Type: application/json"}, body: string(body),
		})
		if err != nil {
			return err
		}
		if a.status != http.StatusCreated {
			return fmt.Errorf("POST %s/%s: status %d: %s", inside, entities[0], a.status, a.body)
		}
		if len(entities) > 1 {
			if err := create(g, "/"+entities[0]+"/"+fmt.Sprint(own["name"]), row, entities[1:]...); err != nil {
				return err
			}
		}
	}
	return nil
}

// hasPostgres reports whether scripts can run on a real Kong with a database.
func hasPostgres() bool {
	if kongPath() == "" || postgresTool("initdb") == "" {
		return false
	}
	if os.Getuid() != 0 {
		return true
	}
	_, err := user.Lookup("postgres")
	return err == nil
}
