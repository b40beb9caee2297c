package main

import (
	"log"
	"os"

	pdk "github.com/Kong/go-pdk"
	stockserver "github.com/Kong/go-pdk/server"
)

// stock is a choice as go-pdk's own server runs it, which finds the phases by
// the names of methods.
type stock struct{ choice }

// Access is called by go-pdk's server.
func (s *stock) Access(kong *pdk.PDK) {
	if err := s.access(kong); err != nil {
		log.Print(err)
	}
}

func serveStock(dir string) error {
	endWithStdin()
	os.Args = []string{os.Args[0], "-kong-prefix", dir} // where it takes the path from
	return stockserver.StartServer(func() any { return &stock{} }, "1.0.0", 1)
}
