// Package browser tests the page of the status address in a real browser, Chromium. It is
// a module of its own, as what drives a browser is large.
package browser
