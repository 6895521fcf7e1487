package cloudwatch

import (
	"errors"
	"fmt"

	"github.com/aws/smithy-go"

	"github.com/novacron/novacron/agent/collect/cloud"
)

// CallError is a call that failed, with the way out.
type CallError struct {
	// API is the operation, Region where it was called; empty for one that has no region.
	API, Region string
	// Code is AWS's, or «timeout» or «unreachable».
	Code   string
	WayOut string
	Err    error
}

func (e *CallError) Error() string {
	text := "AWS " + e.API
	if e.Region != "" {
		text += " in " + e.Region
	}
	text = fmt.Sprintf("%s: %v", text, e.Err)
	if e.WayOut != "" {
		text += "; " + e.WayOut
	}
	return text
}

func (e *CallError) Unwrap() error { return e.Err }

// explain says what can be done about a failed call. A pace that refuses has said so itself.
func (c caller) explain(of api, err error) error {
	var paced *cloud.ThrottledError
	if errors.As(err, &paced) {
		return err
	}
	code := codeOf(err)
	return &CallError{API: of.name, Region: c.region, Code: code, WayOut: c.wayOut(of, code, err), Err: plain(err)}
}

// plain is what AWS said, without the SDK's frame around it.
func plain(err error) error {
	var apiErr smithy.APIError
	if errors.As(err, &apiErr) {
		return apiErr
	}
	return err
}

func (c caller) wayOut(of api, code string, err error) string {
	who := c.cfg.Credentials.String()
	switch code {
	case "ExpiredToken", "ExpiredTokenException", "RequestExpired":
		return who + " have expired: renew them (aws sso login, new keys, a new token file); they are read again at the next collection"
	case "InvalidClientTokenId", "UnrecognizedClientException", "AuthFailure", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidSignatureException", "MissingAuthenticationToken":
		return "AWS does not know " + who + ": check the key, its secret, and that it is active and of this partition"
	case "RequestTimeTooSkewed", "RequestInTheFuture":
		return "the clock of this host is more than 5 minutes off: set it, as by NTP"
	case "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError":
		return who + " may not do this: allow " + of.action + " (deploy/permissions/aws-policy.json has all that is needed), and the role to be assumed by them"
	case "OptInRequired":
		return "enable the region for the account or leave it out"
	case "timeout":
		return fmt.Sprintf("no answer within %v: check the network's way there", c.cfg.Limits.CallTime)
	case "unreachable":
		return c.unreachable(who, err)
	}
	if isThrottled(err) {
		return "AWS throttles the account; collect less often or fewer metrics, or ask AWS for a higher quota"
	}
	return ""
}

func (c caller) unreachable(who string, err error) string {
	var tooLarge *tooLargeError
	switch {
	case errors.As(err, &tooLarge):
		return ""
	case !isUnreachable(err):
		return "check " + who
	case c.cfg.Endpoint != "":
		return "check that the endpoint " + c.cfg.Endpoint + " is up and right"
	}
	return "check the name of the region, DNS and the network's way there"
}
