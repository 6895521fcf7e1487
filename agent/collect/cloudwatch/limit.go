package cloudwatch

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// limited refuses answers that are larger than any should be, and reads the clock from all.
type limited struct {
	aws.HTTPClient
	most  int64
	clock *clock
}

// Do makes a request.
func (l limited) Do(r *http.Request) (*http.Response, error) {
	resp, err := l.HTTPClient.Do(r)
	if err == nil {
		l.clock.note(resp.Header, time.Now())
		resp.Body = &limitedBody{ReadCloser: resp.Body, left: l.most, most: l.most}
	}
	return resp, err
}

type limitedBody struct {
	io.ReadCloser
	left, most int64
}

// Read fails beyond the limit: an answer that is cut must not pass for a whole one.
func (b *limitedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, &tooLargeError{b.most}
	}
	return n, err
}

// tooLargeError says that an answer was not read to its end.
type tooLargeError struct{ most int64 }

func (e *tooLargeError) Error() string {
	return fmt.Sprintf("the answer has more than %d bytes, the limit of one; raise it or select fewer machines by filters", e.most)
}
