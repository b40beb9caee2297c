// Package deck has decK, Kong's own tool for declarative files, work on rows of our plugin: it
// validates, compares and dumps them on the stand-in, and on a real Kong where SPEC_KONG names
// its executable; there it synchronises them too, if there is a PostgreSQL.
//
// It is a module of its own, as decK requires 200 others. decK is built from the Go module
// proxy: minutes the first time, seconds from then on.
package deck
