package plugin

import (
	"strings"

	"kong-traffic-split/plugin/config"
)

// setPath sends the request to the path that it has at b. The query stays as it is.
func (r *request) setPath(b *backend) error {
	path, err := r.pathFor(&b.Backend)
	if path == "" || err != nil {
		return err
	}
	return r.tell(textCall("kong.service.request.set_path", path))
}

// pathFor puts the backend's path before the one that Kong computed from the Service's path,
// the route and strip_path, or has it take the place of all of it or of what the route has
// matched; empty: the backend has none.
func (r *request) pathFor(b *config.Backend) (string, error) {
	switch {
	case b.ReplacePath != "":
		return b.ReplacePath, nil
	case b.ReplacePrefix != "":
		return r.replacePrefix(b.ReplacePrefix)
	case b.Path == "":
		return "", nil
	}
	uri, err := r.askText(getURI)
	if err != nil {
		return "", err
	}
	return r.join(b.Path, uri)
}

// replacePrefix has a prefix take the place of what the route has matched. With strip_path
// Kong has taken that off already; else it does not tell what it was.
func (r *request) replacePrefix(prefix string) (string, error) {
	m, err := r.askMatching()
	if err != nil {
		return "", err
	}
	if !m.StripPath {
		path, err := r.askText(getPath)
		if err != nil {
			return "", err
		}
		return r.join(prefix, m.Rest(path))
	}
	s, err := r.askService()
	if err != nil {
		return "", err
	}
	uri, err := r.askText(getURI)
	if err != nil {
		return "", err
	}
	// A plugin in front may have sent the request to a path without the Service's.
	return r.join(prefix, strings.TrimPrefix(uri, strings.TrimSuffix(s.Path, "/")))
}

// join returns a path with the rest of the one that the request came with behind it.
func (r *request) join(path, rest string) (string, error) {
	if rest = strings.TrimPrefix(rest, "/"); rest != "" {
		return strings.TrimSuffix(path, "/") + "/" + rest, nil
	}
	// Which it is whether the client has sent a slash there or not. Few requests are for
	// it, and so the path is not among the reads.
	asked, err := r.askText(getPath)
	if err != nil {
		return "", err
	}
	return servicePath(path, asked), nil
}

// servicePath is what Kong makes of a Service's path for a request of which nothing is
// left once the route's prefix is taken off: a slash at the end comes from the client,
// or, where the client has asked for nothing else, from the Service.
func servicePath(path, asked string) string {
	slash := strings.HasSuffix(asked, "/")
	switch {
	case path == "/":
		return path
	case strings.HasSuffix(path, "/") && !slash:
		return strings.TrimSuffix(path, "/")
	case !strings.HasSuffix(path, "/") && slash && asked != "/":
		return path + "/"
	}
	return path
}
