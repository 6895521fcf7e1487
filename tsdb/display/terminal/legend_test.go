package terminal

import (
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/assert"
)

// TestLegendsNameIDsLast: what is cut off a long legend is ids, not names.
func TestLegendsNameIDsLast(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 2)
	for want, l := range map[string]labels.Labels{
		`up{host="h1", vm_name="web-1", cloud="` + id + `", vm_id="` + id + `"}`: labels.FromStrings("__name__", "up", "cloud", id, "host", "h1", "vm_id", id, "vm_name", "web-1"),
		`up{id="` + id + `"}`: labels.FromStrings("__name__", "up", "id", id),
		`{id="` + id + `"}`:   labels.FromStrings("id", id),
		`up{host="h1"}`:       labels.FromStrings("__name__", "up", "host", "h1"),
		`{}`:                  labels.EmptyLabels(),
	} {
		assert.Equal(t, want, idsLast(l))
	}
}
