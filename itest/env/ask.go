package env

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/novacron/novacron/cluster/node"
)

// Answer is what the HTTP API of Prometheus says to a query.
type Answer struct {
	Warnings []string
	Series   []Series
}

// Series is one of an answer, with its values at times in seconds since 1970.
type Series struct {
	Labels map[string]string
	Times  []float64
	Values []float64
}

// Get reads what a member has at a path of its API, /metrics or below /api/v1.
func (c *Client) Get(ctx context.Context, address, path string) (code int, body []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, node.URL(address)+path, nil)
	if err != nil {
		return 0, nil, err
	}
	answer, err := c.HTTP.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	body, err = io.ReadAll(answer.Body)
	return answer.StatusCode, body, err
}

// Query asks a member by the HTTP API of Prometheus; the path is query or query_range. Other statuses than 200 are errors.
func (c *Client) Query(ctx context.Context, address, path string, form url.Values) (Answer, error) {
	code, body, err := c.Get(ctx, address, "/api/v1/"+path+"?"+form.Encode())
	if err != nil {
		return Answer{}, err
	}
	if code != http.StatusOK {
		return Answer{}, fmt.Errorf("%s of %s: status %d: %s", path, address, code, body)
	}
	return ParseAnswer(body)
}

// ParseAnswer reads series of single values or of many; histograms are left out.
func ParseAnswer(body []byte) (a Answer, err error) {
	var read struct {
		Warnings []string
		Data     struct {
			Result []struct {
				Metric map[string]string
				Value  *point
				Values []point
			}
		}
	}
	if err := json.Unmarshal(body, &read); err != nil {
		return a, fmt.Errorf("%w: %s", err, body)
	}
	a.Warnings = read.Warnings
	for _, one := range read.Data.Result {
		if one.Value != nil {
			one.Values = append(one.Values, *one.Value)
		}
		s := Series{Labels: one.Metric}
		for _, p := range one.Values {
			s.Times, s.Values = append(s.Times, p.at), append(s.Values, p.value)
		}
		a.Series = append(a.Series, s)
	}
	return a, nil
}

// point is a time and a value, which JSON has as a list of a number and a text.
type point struct{ at, value float64 }

// UnmarshalJSON reads the list.
func (p *point) UnmarshalJSON(text []byte) (err error) {
	var value string
	if err := json.Unmarshal(text, &[]any{&p.at, &value}); err != nil {
		return err
	}
	p.value, err = strconv.ParseFloat(value, 64)
	return err
}
