package httpapi

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"github.com/prometheus/prometheus/util/annotations"
)

// told are the warnings of one request.
type told struct {
	mu    sync.Mutex
	texts []string
}

type toldKey struct{}

// Warn has the answer to a request tell that something is missing in it. Functions of Options call it with their context.
func Warn(ctx context.Context, text string) {
	if t, listens := ctx.Value(toldKey{}).(*told); listens {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.texts = append(t.texts, text)
	}
}

// listen gives a context for Warn, and what there is to say of it: notes for the answer or, where the request wants all
// or nothing, an error.
func listen(r *http.Request) (context.Context, func() (annotations.Annotations, error)) {
	t := &told{}
	return context.WithValue(r.Context(), toldKey{}, t), func() (annotations.Annotations, error) {
		partial, err := boolParam(r, "partial_response", true)
		if err != nil {
			return nil, err
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		if !partial && len(t.texts) > 0 {
			return nil, &failure{unavailable, errors.New(t.texts[0])}
		}
		notes := annotations.New()
		for _, text := range t.texts {
			notes.Add(errors.New(text))
		}
		return *notes, nil
	}
}

// warned sends a whole answer with what listen has to say.
func (a *answer) warned(value any, notes func() (annotations.Annotations, error)) error {
	some, err := notes()
	if err != nil {
		return err
	}
	return a.noted(value, some)
}
