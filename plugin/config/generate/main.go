// Generate writes the files that are made from the table of parameters: those in docs,
// and the types of the plugin for Kong 2.x. It is run by go generate, in the directory of
// package config.
package main

import (
	"log"
	"os"
	"path/filepath"

	"kong-traffic-split/plugin/config"
)

func main() {
	root := filepath.Join("..", "..")
	write(filepath.Join(root, "docs", "parameters.md"), []byte(config.Reference()))
	write(filepath.Join(root, "docs", "traffic-split.schema.json"), config.JSONSchema())
	types, err := legacyTypes(config.KongSchema())
	if err != nil {
		log.Fatal(err)
	}
	write(filepath.Join(root, "legacy", "parameters.go"), types)
}

func write(path string, text []byte) {
	if err := os.WriteFile(path, text, 0o644); err != nil {
		log.Fatal(err)
	}
}
