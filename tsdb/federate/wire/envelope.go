package wire

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// Streams of Connect's protocol (https://connectrpc.com/docs/protocol): each message follows a byte of flags and its
// length in four bytes, the highest first; the last is JSON, with the error if there is one. Those of Evaluate are packed and
// unpacked here: what Connect does around a message takes several times as long as a small answer is worth.
const (
	streamType    = "application/connect+proto"
	envelopeHead  = 5
	flagPacked    = 1
	flagLast      = 2
	timeoutHeader = "Connect-Timeout-Ms"
)

// appendEnvelope appends a message as it travels.
func appendEnvelope(b []byte, flags byte, m proto.Message) ([]byte, error) {
	at := len(b)
	b = append(b, flags, 0, 0, 0, 0)
	b, err := proto.MarshalOptions{}.MarshalAppend(b, m)
	if err != nil {
		return nil, err
	}
	binary.BigEndian.PutUint32(b[at+1:], uint32(len(b)-at-envelopeHead))
	return b, nil
}

// lastMessage is the one that ends a stream.
type lastMessage struct {
	Error *wireError `json:"error,omitempty"`
}

// wireError is an error of Connect.
type wireError struct {
	Code    connect.Code `json:"code"`
	Message string       `json:"message,omitempty"`
	Details []wireDetail `json:"details,omitempty"`
}

type wireDetail struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// lastText is the end of a stream, which may be an error.
func lastText(failed error) ([]byte, error) {
	last := lastMessage{}
	if failed != nil {
		last.Error = &wireError{Code: connect.CodeOf(failed), Message: failed.Error()}
		if of := (*connect.Error)(nil); errors.As(failed, &of) {
			last.Error.Message = of.Message()
			for _, d := range of.Details() {
				last.Error.Details = append(last.Error.Details, wireDetail{d.Type(), base64.RawStdEncoding.EncodeToString(d.Bytes())})
			}
		}
	}
	return json.Marshal(last)
}

// appendLast appends the end of a stream.
func appendLast(b []byte, failed error) ([]byte, error) {
	text, err := lastText(failed)
	if err != nil {
		return nil, err
	}
	b = append(b, flagLast, 0, 0, 0, 0)
	binary.BigEndian.PutUint32(b[len(b)-4:], uint32(len(text)))
	return append(b, text...), nil
}

// lastFrom is the error that a stream ends with.
func lastFrom(text []byte) error {
	if string(text) == "{}" {
		return nil // as nearly all
	}
	last := lastMessage{}
	if err := json.Unmarshal(text, &last); err != nil {
		return fmt.Errorf("the end of an answer: %w", err)
	}
	if last.Error == nil {
		return nil
	}
	failed := connect.NewWireError(last.Error.Code, errors.New(last.Error.Message))
	for _, d := range last.Error.Details {
		value, err := base64.RawStdEncoding.DecodeString(d.Value)
		if err != nil {
			continue // the error itself says more
		}
		if detail, err := connect.NewErrorDetail(&anypb.Any{TypeUrl: "type.googleapis.com/" + d.Type, Value: value}); err == nil {
			failed.AddDetail(detail)
		}
	}
	return failed
}

// readEnvelope reads a message of a bounded size into a buffer, which it may make larger.
func readEnvelope(from io.Reader, into []byte, most uint32) (flags byte, message []byte, err error) {
	into = append(into[:0], make([]byte, envelopeHead)...)
	if _, err := io.ReadFull(from, into); err != nil {
		return 0, into, err
	}
	flags = into[0]
	size := binary.BigEndian.Uint32(into[1:])
	switch {
	case size > most:
		return flags, into, connect.NewError(connect.CodeResourceExhausted, fmt.Errorf("a message of %d bytes, at most %d are taken", size, most))
	case flags&flagPacked != 0:
		return flags, into, connect.NewError(connect.CodeInternal, errors.New("a message is compressed, which it should not be"))
	}
	if cap(into) < int(size) {
		into = make([]byte, size)
	}
	into = into[:size]
	if _, err := io.ReadFull(from, into); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return flags, into, err
	}
	return flags, into, nil
}

// fromStatus is the error of an answer that is none of Connect.
func fromStatus(r *http.Response) error {
	code := connect.CodeUnavailable
	switch r.StatusCode {
	case http.StatusOK:
		return connect.NewError(connect.CodeInternal, fmt.Errorf("the answer is %q, not %s", r.Header.Get("Content-Type"), streamType))
	case http.StatusForbidden:
		code = connect.CodePermissionDenied
	case http.StatusNotFound:
		code = connect.CodeUnimplemented
	}
	return connect.NewError(code, fmt.Errorf("HTTP status %s", r.Status))
}
