package cloudwatch

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdkcloudwatch "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
)

// dim is one dimension of a native metric.
type dim struct{ name, value string }

// listedMetric is one that CloudWatch has, with its dimensions by name.
type listedMetric struct {
	namespace, name string
	dims            []dim
}

func (m listedMetric) key() string {
	var b strings.Builder
	b.WriteString(m.namespace + "\x00" + m.name)
	for _, d := range m.dims {
		b.WriteString("\x00" + d.name + "\x01" + d.value)
	}
	return b.String()
}

// listNamespaces reads what has had values in the last three hours.
func (r *region) listNamespaces(ctx context.Context) (map[string]listedMetric, error) {
	all := map[string]listedMetric{}
	namespaces := slices.Clone(r.cfg.Namespaces)
	if r.cfg.has(SetAgent) {
		namespaces = append(namespaces, nsAgent)
	}
	slices.Sort(namespaces)
	for _, namespace := range slices.Compact(namespaces) {
		if err := r.listNamespace(ctx, namespace, all); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (r *region) listNamespace(ctx context.Context, namespace string, all map[string]listedMetric) error {
	in := sdkcloudwatch.ListMetricsInput{Namespace: &namespace, RecentlyActive: types.RecentlyActivePt3h}
	return pages(apiList.name+" of "+namespace+" in "+r.name, func(token *string) (*string, error) {
		if err := r.budget.Spend(ctx, time.Now(), 1); err != nil {
			return nil, err
		}
		r.cfg.Meter.Billable(apiList.name, 1)
		in.NextToken = token
		out, err := call(ctx, r.caller, apiList, func(ctx context.Context) (*sdkcloudwatch.ListMetricsOutput, error) {
			return r.listMetrics(ctx, &in)
		})
		if err != nil {
			return nil, err
		}
		for _, one := range out.Metrics {
			m := listedMetric{namespace: namespace, name: aws.ToString(one.MetricName), dims: dimsOf(one.Dimensions)}
			all[m.key()] = m
		}
		return out.NextToken, nil
	})
}

func dimsOf(dimensions []types.Dimension) []dim {
	dims := make([]dim, 0, len(dimensions))
	for _, d := range dimensions {
		dims = append(dims, dim{aws.ToString(d.Name), aws.ToString(d.Value)})
	}
	slices.SortFunc(dims, func(a, b dim) int { return cmp.Compare(a.name, b.name) })
	return dims
}

// appended are the dimensions that the agent adds to all of a machine's metrics, where it is told to.
var appended = []string{"ImageId", "InstanceType", "AutoScalingGroupName"}

// matches tells whether a listed metric has the dimensions of a row, no others, and of which machine it is.
func (r row) matches(m listedMetric) (machine string, labels map[string]string, ok bool) {
	labels = map[string]string{}
	found := 0
	for _, d := range m.dims {
		wanted, known := r.dimensions[d.name]
		switch {
		case d.name == "InstanceId":
			machine = d.value
		case known && (wanted.only == "" || wanted.only == d.value):
			found++
			if wanted.label != "" {
				labels[wanted.label] = d.value
			}
		case !slices.Contains(appended, d.name):
			return "", nil, false
		}
	}
	return machine, labels, machine != "" && found == len(r.dimensions)
}
