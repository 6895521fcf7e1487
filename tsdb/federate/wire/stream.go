package wire

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
)

// buffer is kept from one call to the next. What is in it is copied before the call ends.
type buffer struct {
	bytes []byte
	reads *bufio.Reader
}

var buffers = sync.Pool{New: func() any { return &buffer{reads: bufio.NewReaderSize(nil, 4<<10)} }}

// maxKept bounds the buffers that are kept.
const maxKept = 256 << 10

func (b *buffer) release() {
	if b.reads.Reset(nil); cap(b.bytes) > maxKept {
		b.bytes = nil
	}
	buffers.Put(b)
}

// stream is the answer to an evaluation.
type stream struct {
	body   io.ReadCloser
	buffer *buffer
	most   uint32 // bounds a message
}

// open makes a call whose answer is a stream, which has to be closed.
func open(ctx context.Context, caller connect.HTTPClient, at *url.URL, m proto.Message) (*stream, error) {
	question, err := appendEnvelope(nil, 0, m)
	if err != nil {
		return nil, err
	}
	header := http.Header{"Content-Type": {streamType}, "Connect-Protocol-Version": {"1"}}
	if deadline, ok := ctx.Deadline(); ok {
		header[timeoutHeader] = []string{strconv.FormatInt(max(0, time.Until(deadline).Milliseconds()), 10)}
	}
	r := (&http.Request{
		Method: http.MethodPost, URL: at, Host: at.Host, Header: header, ContentLength: int64(len(question)),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(bytes.NewReader(question)), GetBody: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(question)), nil },
	}).WithContext(ctx)
	answer, err := caller.Do(r)
	if err != nil {
		return nil, connect.NewError(connect.CodeUnavailable, err)
	}
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != streamType {
		return nil, errors.Join(fromStatus(answer), answer.Body.Close())
	}
	buffer, _ := buffers.Get().(*buffer)
	buffer.reads.Reset(answer.Body)
	return &stream{answer.Body, buffer, messageMax}, nil
}

// next reads a message, if there is one more, and unpacks it where it is told into what. Behind the last one nothing may
// follow.
func (s *stream) next(m proto.Message) (more bool, err error) {
	var flags byte
	if flags, s.buffer.bytes, err = readEnvelope(s.buffer.reads, s.buffer.bytes, s.most); err != nil {
		if errors.Is(err, io.EOF) {
			err = errCut
		}
		return false, connect.NewError(connect.CodeUnavailable, err)
	}
	if flags&flagLast == 0 {
		if m == nil {
			return true, nil
		}
		if err := proto.Unmarshal(s.buffer.bytes, m); err != nil {
			return false, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("unmarshal a message of an answer: %w", err))
		}
		return true, nil
	}
	_, err = s.buffer.reads.ReadByte() // an end by which the connection is free again, also where the answer is an error
	if failed := lastFrom(s.buffer.bytes); failed != nil {
		return false, failed
	}
	if !errors.Is(err, io.EOF) {
		return false, connect.NewError(connect.CodeInternal, errors.Join(errors.New("an answer goes on behind its end"), err))
	}
	return false, nil
}

// message is the last one as it came. It holds until the next is read.
func (s *stream) message() []byte { return s.buffer.bytes }

func (s *stream) close() {
	_ = s.body.Close() // who hears nothing any more has nothing to say
	s.buffer.release()
}
