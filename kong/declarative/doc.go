// Package declarative owns the part of Kong's declarative configuration that
// this project reads and writes: services, routes, upstreams with targets,
// consumers with key-auth credentials, and plugins on any of these or on all
// requests. What Kong says of such a file belongs here; what the plugin says of its
// rows is kong/check's, and what a gateway does with them kong/standin's.
//
// A [File] is a configuration as its author wrote it. A [Loader] checks it as
// the loader of Kong 3.9 does, a plugin's config against the schema that the
// plugin dumps, and makes it a [Config]: rows without nesting, with all
// defaults and with the same ids as Kong's. What it refuses comes back as
// Kong says it, see [InvalidError].
//
// Entities beyond those above are refused as unknown. Vault references are
// resolved for the vault "env" only. Schemas whose patterns have %b, %f or back
// references are refused. A check that is a function in Lua cannot be in a plugin's
// dump, so there is none here.
package declarative
