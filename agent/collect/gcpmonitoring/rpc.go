package gcpmonitoring

import (
	"context"
	"net"
	"path"
	"strings"

	"cloud.google.com/go/auth"
	monitoringv3 "cloud.google.com/go/monitoring/apiv3/v2"
	"google.golang.org/api/option"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// maxMessage bounds an answer: 100,000 points take less than 16 MiB.
const maxMessage = 64 << 20

// plainText begins the address of an endpoint that is called without TLS and credentials.
const plainText = "http://"

func plain(endpoint string) bool { return strings.HasPrefix(endpoint, plainText) }

// newMetricClient does not wait for the connection. Every call passes the gate of its project, and none is retried below.
func newMetricClient(ctx context.Context, cfg Config, creds *auth.Credentials, g *gate) (*monitoringv3.MetricClient, error) {
	dialing := []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(g.intercept), grpc.WithDisableRetry(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
	}
	var opts []option.ClientOption
	switch {
	case plain(cfg.MonitoringEndpoint):
		dialing = append(dialing, grpc.WithTransportCredentials(insecure.NewCredentials()))
		opts = append(opts, option.WithEndpoint("passthrough:///"+strings.TrimPrefix(cfg.MonitoringEndpoint, plainText)), option.WithoutAuthentication())
	case cfg.MonitoringEndpoint != "":
		opts = append(opts, option.WithEndpoint(cfg.MonitoringEndpoint), option.WithAuthCredentials(creds))
	default:
		opts = append(opts, option.WithAuthCredentials(creds))
	}
	if cfg.Dial != nil {
		dialing = append(dialing, grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) { return cfg.Dial(ctx, address) }))
	}
	for _, one := range dialing {
		opts = append(opts, option.WithGRPCDialOption(one))
	}
	opts = append(opts, option.WithTelemetryDisabled())
	client, err := monitoringv3.NewMetricClient(ctx, opts...)
	if err != nil {
		return nil, err
	}
	client.CallOptions = &monitoringv3.MetricCallOptions{} // the SDK's own retries honour no bound and count nowhere
	return client, nil
}

// intercept has every call pass the gate.
func (g *gate) intercept(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if err := turnPage(ctx); err != nil {
		return err
	}
	err := g.pass(ctx, "monitoring", path.Base(method), func(ctx context.Context) verdict {
		return g.judge(invoke(ctx, method, req, reply, cc, opts...))
	})
	if err == nil {
		noted, _ := ctx.Value(readingKey{}).(*reading)
		noted.note(reply)
	}
	return err
}

// judge reads a status of gRPC.
func (g *gate) judge(err error) verdict {
	s := status.Convert(err)
	v := verdict{code: s.Code().String(), err: err}
	if err == nil {
		return v
	}
	for _, detail := range s.Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			v.after = max(v.after, info.GetRetryDelay().AsDuration())
		}
	}
	v.throttled = s.Code() == codes.ResourceExhausted && !tooLarge(s) || s.Code() == codes.Unavailable && v.after > 0
	v.hint = g.hintOf(v.code)
	return v
}

// tooLarge tells an answer that is larger than is taken here from a call that came too early: gRPC has one code for both.
func tooLarge(s *status.Status) bool { return strings.Contains(s.Message(), "larger than max") }
