package cloudwatch

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	sdkcloudwatch "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/schemas"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/transport/http/protocol/awsquery"
)

// sessionName is what AWS's own records call us.
const sessionName = "novacron"

// session signs requests.
type session struct {
	aws   aws.Config
	cfg   Config
	clock *clock
	// whoami is asked of one client, which learns how far this host's clock is off.
	whoami operation[sts.GetCallerIdentityInput, sts.GetCallerIdentityOutput, sts.Options]
}

// newSession finds the credentials, without using them yet. The SDK tries once: how often and when again is the pace's
// to say.
func newSession(ctx context.Context, cfg Config) (session, error) {
	options := []func(*config.LoadOptions) error{
		config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }),
		config.WithAppID(sessionName),
		config.WithLogger(logging.Nop{}), // what matters is in the errors
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
			if cfg.Dial != nil {
				t.DialContext = cfg.Dial
			}
		})),
	}
	if len(cfg.Regions) > 0 {
		options = append(options, config.WithRegion(cfg.Regions[0]))
	}
	loaded, err := config.LoadDefaultConfig(ctx, append(options, cfg.Credentials.options()...)...)
	if err != nil {
		return session{}, fmt.Errorf("AWS with %s: %w; name a profile, keys, a web identity or a role that this host has", cfg.Credentials, err)
	}
	s := session{aws: loaded, cfg: cfg, clock: &clock{}}
	s.aws.HTTPClient = limited{loaded.HTTPClient, cfg.Limits.Response, s.clock}
	s.assume()
	s.whoami = s.sts().GetCallerIdentity
	return s, nil
}

func (c Credentials) options() []func(*config.LoadOptions) error {
	var options []func(*config.LoadOptions) error
	if c.Profile != "" {
		options = append(options, config.WithSharedConfigProfile(c.Profile))
	}
	if len(c.Files) > 0 {
		options = append(options, config.WithSharedConfigFiles(c.Files), config.WithSharedCredentialsFiles(c.Files))
	}
	if c.AccessKeyID != "" {
		options = append(options, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, c.SessionToken)))
	}
	return options
}

// assume goes through the roles.
func (s *session) assume() {
	c := s.cfg.Credentials
	if c.WebIdentity.RoleARN != "" {
		s.aws.Credentials = aws.NewCredentialsCache(stscreds.NewWebIdentityRoleProvider(s.sts(), c.WebIdentity.RoleARN,
			stscreds.IdentityTokenFile(c.WebIdentity.TokenFile), func(o *stscreds.WebIdentityRoleOptions) { o.RoleSessionName = sessionName }))
	}
	for _, role := range c.Roles {
		s.aws.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(s.sts(), role.ARN, func(o *stscreds.AssumeRoleOptions) {
			o.RoleSessionName = sessionName
			if role.ExternalID != "" {
				o.ExternalID = &role.ExternalID
			}
		}))
	}
}

func (s *session) endpoint() *string {
	if s.cfg.Endpoint == "" {
		return nil
	}
	return &s.cfg.Endpoint
}

func (s *session) sts() *sts.Client {
	return sts.NewFromConfig(s.aws, func(o *sts.Options) { s.base(&o.BaseEndpoint) })
}

func (s *session) base(endpoint **string) {
	if at := s.endpoint(); at != nil {
		*endpoint = at
	}
}

// identity asks whose the credentials are.
func (s *session) identity(ctx context.Context) (account string, err error) {
	out, err := s.whoami(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", err
	}
	if aws.ToString(out.Account) == "" {
		return "", errors.New("the answer names no account")
	}
	return *out.Account, nil
}

// operation is one of an API.
type operation[In, Out, Options any] func(context.Context, *In, ...func(*Options)) (*Out, error)

// clients are the operations that are used, of one region. They are method values and not the clients: EC2 has more
// than 700 methods, and a client that is reachable through an interface or a struct of one keeps all of them in the
// program as soon as anything in it finds methods by name, as templates do.
type clients struct {
	metricData  operation[sdkcloudwatch.GetMetricDataInput, sdkcloudwatch.GetMetricDataOutput, sdkcloudwatch.Options]
	listMetrics operation[sdkcloudwatch.ListMetricsInput, sdkcloudwatch.ListMetricsOutput, sdkcloudwatch.Options]
	statistics  operation[sdkcloudwatch.GetMetricStatisticsInput, sdkcloudwatch.GetMetricStatisticsOutput, sdkcloudwatch.Options]
	instances   operation[ec2.DescribeInstancesInput, ec2.DescribeInstancesOutput, ec2.Options]
	types       operation[ec2.DescribeInstanceTypesInput, ec2.DescribeInstanceTypesOutput, ec2.Options]
	volumes     operation[ec2.DescribeVolumesInput, ec2.DescribeVolumesOutput, ec2.Options]
}

func (s *session) clients(region string) clients {
	cw := sdkcloudwatch.NewFromConfig(s.aws, func(o *sdkcloudwatch.Options) {
		o.Region = region
		s.base(&o.BaseEndpoint)
		if s.cfg.QueryProtocol {
			o.Protocol = awsquery.New(schemas.GraniteServiceVersion20100801)
		}
	})
	machines := ec2.NewFromConfig(s.aws, func(o *ec2.Options) {
		o.Region = region
		s.base(&o.BaseEndpoint)
	})
	return clients{
		metricData: cw.GetMetricData, listMetrics: cw.ListMetrics, statistics: cw.GetMetricStatistics,
		instances: machines.DescribeInstances, types: machines.DescribeInstanceTypes, volumes: machines.DescribeVolumes,
	}
}
