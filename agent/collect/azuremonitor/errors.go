package azuremonitor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/novacron/novacron/agent/collect/cloud"
)

// maxText bounds what an error repeats of an answer.
const maxText = 300

// explain says what failed, where and what to do.
func explain(err error, what string, who Credentials) error {
	var (
		throttled *cloud.ThrottledError
		login     *azidentity.AuthenticationFailedError
		answer    *azcore.ResponseError
		large     *http.MaxBytesError
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &throttled):
		return fmt.Errorf("Azure, %s: %w", what, err)
	case errors.As(err, &login):
		return &explained{fmt.Sprintf("Azure, %s: no token by %s: %s. Renew the secret or certificate, or let the identity have one", what, who, firstLine(err)), err}
	case errors.As(err, &answer):
		return &explained{fmt.Sprintf("Azure, %s: %d %s%s", what, answer.StatusCode, or(answer.ErrorCode, http.StatusText(answer.StatusCode)), wayOut(answer, who)), err}
	case errors.As(err, &large):
		return &explained{fmt.Sprintf("Azure, %s: the answer has more than %d MB; collect fewer subscriptions with one collector", what, large.Limit>>20), err}
	case errors.Is(err, context.DeadlineExceeded):
		return &explained{fmt.Sprintf("Azure, %s: no answer in time; the next collection asks again", what), err}
	}
	return &explained{fmt.Sprintf("Azure, %s: %s", what, firstLine(err)), err}
}

// explained is an error with a text for people and the error that it explains.
type explained struct {
	text string
	err  error
}

func (e *explained) Error() string { return e.text }
func (e *explained) Unwrap() error { return e.err }

func wayOut(e *azcore.ResponseError, who Credentials) string {
	switch e.StatusCode {
	case http.StatusUnauthorized:
		return fmt.Sprintf(": the token of the %s is not taken or has expired; renew the credentials", who)
	case http.StatusForbidden:
		return fmt.Sprintf(": the %s may not do this; give it the role of deploy/permissions/azure-role.json on the subscription", who)
	case http.StatusNotFound:
		return ": there is no such subscription, region or resource; check their names"
	case http.StatusTooManyRequests:
		return ": too many calls; what was missed is collected later"
	case http.StatusBadRequest:
		return ": " + firstLine(e)
	}
	if e.StatusCode >= http.StatusInternalServerError {
		return ": the service fails; the next collection asks again"
	}
	return ""
}

// firstLine is what an error says, without what the SDK prints around it.
func firstLine(err error) string {
	var login *azidentity.AuthenticationFailedError
	var answer *azcore.ResponseError
	text := err.Error()
	switch {
	case errors.As(err, &login) && login.RawResponse != nil:
		text = or(messageOf(login.RawResponse), text)
	case errors.As(err, &answer) && answer.RawResponse != nil:
		text = or(messageOf(answer.RawResponse), answer.ErrorCode)
	}
	text, _, _ = strings.Cut(strings.ReplaceAll(text, "\r", "\n"), "\n")
	if len(text) > maxText {
		text = text[:maxText] + "…"
	}
	return strings.TrimSpace(text)
}

// messageOf finds the message in the answer of the token service or of another; empty where there is none.
func messageOf(resp *http.Response) string {
	body, err := runtime.Payload(resp)
	if err != nil {
		return ""
	}
	var token struct {
		Description string `json:"error_description"`
	}
	var other struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &token) == nil && token.Description != "" {
		return token.Description
	}
	if json.Unmarshal(body, &other) == nil {
		return other.Error.Message
	}
	return ""
}

// missing tells whether a call was refused since a resource of it is gone.
func missing(err error) bool {
	var answer *azcore.ResponseError
	return errors.As(err, &answer) && (answer.StatusCode == http.StatusNotFound || strings.Contains(answer.ErrorCode, "NotFound"))
}
