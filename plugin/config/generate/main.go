// Generate writes the files in docs that are made from the table of parameters.
// It is run by go generate, in the directory of package config.
package main

import (
	"log"
	"os"
	"path/filepath"

	"kong-traffic-split/plugin/config"
)

func main() {
	docs := filepath.Join("..", "..", "docs")
	write(filepath.Join(docs, "parameters.md"), []byte(config.Reference()))
	write(filepath.Join(docs, "traffic-split.schema.json"), config.JSONSchema())
}

func write(path string, text []byte) {
	if err := os.WriteFile(path, text, 0o644); err != nil {
		log.Fatal(err)
	}
}
