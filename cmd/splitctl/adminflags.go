package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"kong-traffic-split/kong/admin"
)

// tokenVariable is the environment variable with the token for the Admin API.
const tokenVariable = "KONG_ADMIN_TOKEN"

// adminFlags are where Kong's Admin API is, and the token for it.
type adminFlags struct {
	address   string
	tokenFile string
}

func (a *adminFlags) add(f *pflag.FlagSet) {
	f.StringVar(&a.address, "admin", "", "the `address` of Kong's Admin API; the token for it is taken from "+tokenVariable)
	f.StringVar(&a.tokenFile, "token-file", "", "a `file` with the token for the Admin API")
}

// client returns the Admin API's.
func (a *adminFlags) client() (*admin.Client, error) {
	token := os.Getenv(tokenVariable)
	if a.tokenFile != "" {
		text, err := os.ReadFile(a.tokenFile) // it may be a pipe of the shell's
		if err != nil {
			return nil, fmt.Errorf("--token-file: %w", err)
		}
		token = string(text)
	}
	token = strings.TrimSpace(token)
	if strings.ContainsAny(token, "\r\n") {
		return nil, errors.New("the token for the Admin API has several lines")
	}
	return &admin.Client{URL: a.address, Token: token}, nil
}

// kong returns the address of the Admin API without the password that may be in it.
func (a *adminFlags) kong() string {
	if u, err := url.Parse(a.address); err == nil && u.User != nil {
		return u.Redacted()
	}
	return a.address
}
