package admin

import (
	"context"
	"fmt"
	"net/http"
)

// maxPages is how many pages of entities, of up to 1000 each, are read.
const maxPages = 1000

// pages returns all entities of a kind, such as plugins.
func pages[T any](ctx context.Context, c *Client, kind string) (all []T, err error) {
	seen := map[string]bool{}
	for next := "/" + kind + "?size=1000"; next != ""; {
		switch {
		case seen[next]:
			return nil, fmt.Errorf("the pages of %s have no end: %q comes again as the next one; is there a proxy or a cache before the Admin API?", kind, next)
		case len(seen) == maxPages:
			return nil, fmt.Errorf("there are more than %d pages of %s, the most that are read", maxPages, kind)
		}
		seen[next] = true
		var page struct {
			Data []T
			Next string
		}
		if err := c.do(ctx, http.MethodGet, next, nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Data...)
		if page.Next != "" && page.Next[0] != '/' { // it would be part of the address, and the token would go there
			return nil, fmt.Errorf("the next page of %s is %q, which is no path of the Admin API's", kind, page.Next)
		}
		next = page.Next
	}
	return all, nil
}
