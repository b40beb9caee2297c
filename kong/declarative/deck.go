package declarative

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// deckKeys are what only decK reads of a file.
var deckKeys = []string{"_info", "_konnect", "_workspace", "_plugin_configs"}

// WithoutDeck returns a file as decK would send it to Kong: what plugin rows share
// through _plugin_configs and _config is filled into their configs, the defaults of _info
// into rows, and what is only for decK is left out. The file stays as it is.
func (f File) WithoutDeck() (File, error) {
	tree := File(cloneMap(f))
	shared, _ := tree["_plugin_configs"].(map[string]any)
	info, _ := tree["_info"].(map[string]any)
	defaults, _ := info["defaults"].(map[string]any)
	for _, key := range deckKeys {
		delete(tree, key)
	}
	for n := range tree.nodes() {
		if of, ok := defaults[strings.TrimSuffix(n.entity, "s")].(map[string]any); ok && n.entity != "plugins" {
			addMissing(n.row, of)
		}
		name, ok := n.row["_config"].(string)
		if !ok {
			continue
		}
		whole, ok := shared[name].(map[string]any)
		if !ok {
			return tree, fmt.Errorf("%s._config: %q is not among _plugin_configs; there are %s", n.place(), name, strings.Join(slices.Sorted(maps.Keys(shared)), ", "))
		}
		own, ok := n.row["config"].(map[string]any)
		if !ok {
			own = map[string]any{}
		}
		addMissing(own, whole)
		n.row["config"] = own
		delete(n.row, "_config")
	}
	return tree, nil
}

// OnlyForDeck returns what of a file only decK understands, and Kong's Admin API refuses.
func (f File) OnlyForDeck() (keys []string) {
	for _, key := range deckKeys {
		if f[key] != nil {
			keys = append(keys, key)
		}
	}
	return keys
}

// addMissing adds what a map has not to it, in the maps that it has too.
func addMissing(to, from map[string]any) {
	for key, value := range from {
		has, ok := to[key]
		if !ok {
			to[key] = clone(value)
			continue
		}
		inner, isMap := has.(map[string]any)
		if more, ok := value.(map[string]any); ok && isMap {
			addMissing(inner, more)
		}
	}
}

// ignored are entities and fields of Kong's that this package does not know and that
// do not affect what it does.
var ignored = []string{
	"acls", "acme_storage", "basicauth_credentials", "ca_certificates", "certificates", "client_certificate",
	"consumer_group", "consumer_group_consumers", "consumer_group_plugins", "consumer_groups", "custom_plugins",
	"degraphql_routes", "document_objects", "files", "filter_chains", "graphql_ratelimiting_advanced_cost_decoration",
	"groups", "hmacauth_credentials", "jwt_secrets", "key_sets", "keys", "licenses", "mtls_auth_credentials",
	"oauth2_authorization_codes", "oauth2_credentials", "oauth2_tokens", "parameters", "partials", "rbac_roles",
	"rbac_users", "sessions", "tags", "vaults", "workspaces",
}

// Only returns the part of a file that this package knows, without the rows of other
// plugins. The file stays as it is.
func (f File) Only(plugin string) File {
	tree := File(cloneMap(f))
	delete(tree, "snis") // to routes they are a condition
	reduce(tree, plugin)
	for n := range tree.nodes() {
		reduce(n.row, plugin)
	}
	return tree
}

func reduce(row map[string]any, plugin string) {
	for _, key := range ignored {
		delete(row, key)
	}
	if list, ok := row["plugins"].([]any); ok {
		row["plugins"] = slices.DeleteFunc(list, func(element any) bool {
			other, ok := element.(map[string]any)
			return ok && other["name"] != nil && other["name"] != plugin
		})
	}
}
