package httproute

import (
	"encoding/json"
	"errors"
	"slices"

	gateway "sigs.k8s.io/gateway-api/apis/v1"

	"kong-traffic-split/kong/companion"
)

// rows are the rows of plugins other than ours: those that the rule needs, and the
// KongPlugins that it names.
func (c *converter) rows(p *plan, needed ...object) (rows []object) {
	if r := p.changes.response; !r.empty() && p.changes.redirect == nil && p.answer == 0 {
		needed = append(needed, object{{"name", "response-transformer"}, {"config", responseTransformer(r)}})
	}
	var merged []mergedRow
	if p.wholePath != "" && p.answer == 0 {
		merged = append(merged, mergedRow{requestTransformer, p.pathRow})
	}
	if p.needsCompanion() && p.answer == 0 {
		merged = append(merged, mergedRow{companion.Plugin, companionRow})
	}
	rows = needed
	for _, plugin := range slices.Concat(p.changes.plugins, p.annotations) {
		if plugin.name == pluginName || plugin.name == "" {
			continue
		}
		if i := slices.IndexFunc(merged, func(m mergedRow) bool { return m.plugin == plugin.name }); i >= 0 {
			row, err := merged[i].with(plugin)
			if err == nil {
				rows, merged = append(rows, row), slices.Delete(merged, i, i+1)
				continue
			}
			plugin.doc.leave((*trail)(nil).field("config"), "%v", err)
			continue
		}
		if slices.ContainsFunc(rows, func(row object) bool { return row[0].value == plugin.name }) {
			p.rule.route.doc.leave(p.namedAt(plugin), "the plugin %s is there already, by a filter or another KongPlugin; Kong has one of each in a place", plugin.name)
			continue
		}
		row := object{{"name", plugin.name}}
		if plugin.config != nil {
			row.put("config", json.RawMessage(jsonOf(plugin.config)))
		}
		rows = append(rows, row)
	}
	for _, m := range merged {
		row, _ := m.with(nil) // which has nothing wrong
		rows = append(rows, row)
	}
	return rows
}

// A mergedRow is one that the rule needs and a KongPlugin of the same plugin may have a part in.
type mergedRow struct {
	plugin string
	with   func(*kongPlugin) (object, error) // nil: there is no such KongPlugin
}

// retried reports whether a KongPlugin of ours asks for retries.
func (p *plan) retried() bool { return p.ownFrom["retry"] != nil }

// needsCompanion reports whether the split takes the companion: for retries, or for response
// headers of a single backend that are set or removed.
func (p *plan) needsCompanion() bool {
	return p.retried() || slices.ContainsFunc(p.backends, func(b backend) bool { return len(b.changes.response.set)+len(b.changes.response.remove) > 0 })
}

// companionRow is the row of post-function that a split takes, with the functions of a
// KongPlugin of the same name in front; nil: there is none.
func companionRow(plugin *kongPlugin) (object, error) {
	config := map[string][]string{}
	if plugin != nil && plugin.config != nil {
		if json.Unmarshal([]byte(jsonOf(plugin.config)), &config) != nil {
			return nil, errors.New("is not a list of functions for each phase: the companion goes behind those")
		}
	}
	companion.Add(config)
	text, _ := json.Marshal(config) // of strings, and of what was JSON
	return object{{"name", companion.Plugin}, {"config", json.RawMessage(text)}}, nil
}

// requestTransformer is Kong's plugin that replaces whole paths.
const requestTransformer = "request-transformer"

// pathRow is the row by which a rule's whole path is replaced, with what else a KongPlugin of
// the same name asks for; nil: there is none.
func (p *plan) pathRow(plugin *kongPlugin) (object, error) {
	if plugin == nil {
		return object{{"name", requestTransformer}, {"config", object{{"replace", object{{"uri", p.wholePath}}}}}}, nil
	}
	config := map[string]any{}
	if plugin.config != nil {
		_ = json.Unmarshal([]byte(jsonOf(plugin.config)), &config) // a mapping: it was read as one
	}
	replace, ok := config["replace"].(map[string]any)
	switch {
	case !ok && config["replace"] != nil:
		return nil, errors.New("replace is not a map, and the path of a rule's URLRewrite goes there")
	case replace["uri"] != nil:
		return nil, errors.New("replace.uri is set, and a rule's URLRewrite replaces the path already")
	case !ok:
		replace = map[string]any{}
	}
	replace["uri"] = p.wholePath
	config["replace"] = replace
	text, _ := json.Marshal(config) // of what was JSON
	return object{{"name", requestTransformer}, {"config", json.RawMessage(text)}}, nil
}

// namedAt is where a rule names a KongPlugin.
func (p *plan) namedAt(plugin *kongPlugin) *trail {
	if slices.Contains(p.changes.plugins, plugin) {
		return p.changes.at[gateway.HTTPRouteFilterExtensionRef]
	}
	return (*trail)(nil).fields("metadata", "annotations", "konghq.com/plugins")
}

// responseTransformer is the config of Kong's plugin for response headers. It removes,
// replaces what is there, adds what is not, and appends, in this order.
func responseTransformer(h headers) (config object) {
	pairs := func(all []header) (out []string) {
		for _, one := range all {
			out = append(out, one.name+":"+one.value)
		}
		return out
	}
	for _, part := range []struct {
		key    string
		values []string
	}{{"remove", h.remove}, {"replace", pairs(h.set)}, {"add", pairs(h.set)}, {"append", pairs(h.add)}} {
		if len(part.values) > 0 {
			config.put(part.key, object{{"headers", part.values}})
		}
	}
	return config
}

// ownPluginConfig is what KongPlugins of ours say beside the backends.
func (c *converter) ownPluginConfig(p *plan) (o object) {
	p.ownFrom = map[string]*kongPlugin{}
	for _, plugin := range slices.Concat(p.changes.plugins, p.annotations) {
		if plugin.name != pluginName || plugin.config == nil {
			continue
		}
		for i := 0; i+1 < len(plugin.config.Content); i += 2 {
			key, value := plugin.config.Content[i].Value, plugin.config.Content[i+1]
			switch {
			case slices.Contains([]string{"backends", "split"}, key):
				plugin.doc.leave((*trail)(nil).fields("config", key), "the backends are those of the route, here")
			case key == "session" && p.rule.session != nil:
				plugin.doc.leave((*trail)(nil).fields("config", key), "the route has a sessionPersistence")
			case key == "mirror" && len(p.mirrors) > 0:
				plugin.doc.leave((*trail)(nil).fields("config", key), "the rule has a RequestMirror")
			case p.ownFrom[key] == nil:
				p.ownFrom[key] = plugin
				o.put(key, json.RawMessage(jsonOf(value)))
			}
		}
	}
	return o
}
