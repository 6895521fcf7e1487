package cloudwatch

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/novacron/novacron/agent/collect/cloud"
)

// api is an operation with the permission that it takes and the pace at which it is called: a fifth of what AWS allows
// an account in a region, as others use the account too.
type api struct {
	name, action string
	perSecond    float64
	burst        int
}

var (
	apiIdentity   = api{"GetCallerIdentity", "sts:GetCallerIdentity", 2, 2}
	apiMetricData = api{"GetMetricData", "cloudwatch:GetMetricData", 10, 10}
	apiList       = api{"ListMetrics", "cloudwatch:ListMetrics", 5, 5}
	apiStatistics = api{"GetMetricStatistics", "cloudwatch:GetMetricStatistics", 5, 5}
	apiInstances  = api{"DescribeInstances", "ec2:DescribeInstances", 4, 10}
	apiTypes      = api{"DescribeInstanceTypes", "ec2:DescribeInstanceTypes", 4, 10}
	apiVolumes    = api{"DescribeVolumes", "ec2:DescribeVolumes", 4, 10}
)

// caller makes the calls of one account in one region.
type caller struct {
	account, region string
	cfg             Config
	access          *cloud.Access
	budget          *cloud.Budget
}

// tries are the most of one call.
const tries = 4

// call waits for the pace, makes a call and makes it again where that helps: after a throttling as soon as AWS allows,
// however late that is, and at once after a fault of AWS's or of the clock, which the SDK has then learnt.
func call[Out any](ctx context.Context, c caller, of api, do func(context.Context) (Out, error)) (out Out, err error) {
	door := c.access.To(c.account, of.name+" in "+c.region, of.perSecond, of.burst)
	for try := range tries {
		if err := door.Wait(ctx); err != nil {
			return out, c.explain(of, err)
		}
		out, err = within(ctx, c.cfg.Limits.CallTime, do)
		c.cfg.Meter.Request(of.name, codeOf(err))
		if err == nil {
			return out, nil
		}
		again := isTransient(err) || try == 0 && slices.Contains(clockCodes, codeOf(err))
		if isThrottled(err) {
			c.cfg.Meter.Throttled(of.name)
			again = true
		}
		if until, asked := retryAfter(err, time.Now()); asked {
			door.Close(ctx, until)
		} else if again {
			door.Close(ctx, time.Now().Add(backoff<<try))
		}
		if !again || ctx.Err() != nil {
			break
		}
	}
	return out, c.explain(of, err)
}

// backoff is how long is waited where AWS does not say so; it doubles each time.
const backoff = 500 * time.Millisecond

func within[Out any](ctx context.Context, most time.Duration, do func(context.Context) (Out, error)) (Out, error) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	return do(ctx)
}

// codeOf is what AWS calls an answer, for the meter: a bounded set of words.
func codeOf(err error) string {
	var apiErr smithy.APIError
	switch {
	case err == nil:
		return "OK"
	case errors.As(err, &apiErr):
		return apiErr.ErrorCode()
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, context.Canceled):
		return "canceled"
	}
	return "unreachable"
}

func isThrottled(err error) bool {
	_, known := retry.DefaultThrottleErrorCodes[codeOf(err)]
	return known || statusOf(err) == http.StatusTooManyRequests
}

// clockCodes are those of a signature with another time than AWS's.
var clockCodes = []string{"RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture", "SignatureDoesNotMatch", "InvalidSignatureException"}

func isTransient(err error) bool {
	var tooLarge *tooLargeError
	if errors.As(err, &tooLarge) || errors.Is(err, context.Canceled) {
		return false
	}
	return isUnreachable(err) || statusOf(err) >= http.StatusInternalServerError
}

// isUnreachable tells whether no answer came. Credentials that cannot be found have no cause in the network.
func isUnreachable(err error) bool {
	var sent interface{ ConnectionError() bool }
	return errors.As(err, &sent) && sent.ConnectionError()
}

func statusOf(err error) int {
	var resp *awshttp.ResponseError
	if errors.As(err, &resp) {
		return resp.HTTPStatusCode()
	}
	return 0
}

// retryAfter is when AWS allows the next call, where it says so.
func retryAfter(err error, now time.Time) (until time.Time, asked bool) {
	var resp *awshttp.ResponseError
	if !errors.As(err, &resp) || resp.HTTPResponse() == nil {
		return until, false
	}
	text := resp.HTTPResponse().Header.Get("Retry-After")
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && seconds > 0 {
		return now.Add(time.Duration(seconds * float64(time.Second))), true
	}
	until, parseErr := http.ParseTime(text)
	return until, parseErr == nil
}
