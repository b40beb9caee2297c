// Package admin owns what we read and change over Kong's Admin API: rows of our plugin,
// where Kong has a database, and the declarative configuration, where it has none.
package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Client asks one Kong's Admin API.
type Client struct {
	// URL is the address of the Admin API, with a scheme or without.
	URL string
	// Token is sent as Kong-Admin-Token; empty: none. It is in no message.
	Token string

	once bool // each request has a connection of its own
}

// answerTime is how long Kong may take to answer. A long declarative configuration takes
// it some seconds to load.
const answerTime = 60 * time.Second

// maxAnswer is how many bytes an answer may have.
const maxAnswer = 256 << 20

// api has no proxies' and no cookies' business, and follows no redirect: that would send
// the token elsewhere.
var api = http.Client{
	Timeout:       answerTime,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// Refusal is an answer of Kong's that is not a success.
type Refusal struct {
	Status  int
	Message string
}

// Error returns Kong's own message, with the status if there is none.
func (r *Refusal) Error() string {
	if r.Message == "" {
		return fmt.Sprintf("Kong answers with %d", r.Status)
	}
	return fmt.Sprintf("Kong answers with %d: %s", r.Status, r.Message)
}

// do sends a request, with a body in JSON unless it is nil, and reads the answer into to.
func (c *Client) do(ctx context.Context, method, path string, body, to any) error {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(text)
	}
	url := c.URL
	if !strings.Contains(url, "://") {
		url = "http://" + url
	}
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(url, "/")+path, content)
	if err != nil {
		return err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Close = c.once
	if c.Token != "" {
		r.Header.Set("Kong-Admin-Token", c.Token)
	}
	response, err := api.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(http.MaxBytesReader(nil, response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if response.StatusCode/100 != 2 {
		var answer struct{ Message string }
		_ = json.Unmarshal(text, &answer) // it need not be Kong's
		return &Refusal{response.StatusCode, answer.Message}
	}
	if err := json.Unmarshal(text, to); err != nil {
		return fmt.Errorf("%s %s is not answered by Kong's Admin API: %w", method, path, err)
	}
	return nil
}

// refused reports whether an error is an answer of Kong's with that status.
func refused(err error, status int) bool {
	r, ok := errors.AsType[*Refusal](err)
	return ok && r.Status == status
}

// Declarative returns the configuration of a Kong without a database, as a file. ok is
// false if it has one.
func (c *Client) Declarative(ctx context.Context) (text string, ok bool, err error) {
	var answer struct{ Config string }
	err = c.do(ctx, http.MethodGet, "/config", nil, &answer)
	if r, is := errors.AsType[*Refusal](err); is && r.Status == http.StatusBadRequest && strings.Contains(r.Message, "not use a database") {
		return "", false, nil
	}
	return answer.Config, err == nil, err
}

// Post gives a Kong without a database another configuration.
func (c *Client) Post(ctx context.Context, text string) error {
	var answer map[string]any
	return c.do(ctx, http.MethodPost, "/config", map[string]string{"config": text}, &answer)
}

// Hash returns the hash of the text from which a Kong without a database has its
// configuration: [HashOf] that text.
func (c *Client) Hash(ctx context.Context) (string, error) {
	var answer struct {
		Hash string `json:"configuration_hash"`
	}
	err := c.do(ctx, http.MethodGet, "/status", nil, &answer)
	return answer.Hash, err
}
