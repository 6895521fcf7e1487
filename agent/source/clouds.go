package source

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/novacron/novacron/agent/collect/azuremonitor"
	"github.com/novacron/novacron/agent/collect/cloudwatch"
	"github.com/novacron/novacron/agent/collect/gcpmonitoring"
	"github.com/novacron/novacron/agent/jobs"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

func (m *Maker) aws(ctx context.Context, s jobs.Source) (jobs.Opened, error) {
	spec := s.Spec.GetAws()
	cfg := cloudwatch.Config{
		Regions: spec.GetRegions(), Namespaces: spec.GetNamespaces(), Tags: s.Spec.GetTags(), Sets: []cloudwatch.Set{cloudwatch.SetDefault},
		Interval: s.Spec.GetInterval().AsDuration(), Since: s.From, DailyBudget: int(s.Spec.GetBudget().GetUnitsPerDay()), Price: s.Spec.GetBudget().GetPricePerUnit(),
		Stores: s.Store, Paces: &m.paces, Pauses: s.Pauses, Spent: s.Spent, Meter: s.Meter, Credentials: cloudwatch.Credentials{Profile: spec.GetProfile()},
	}
	if extended(s) {
		cfg.Sets = append(cfg.Sets, cloudwatch.SetExtended, cloudwatch.SetVolumes, cloudwatch.SetAgent)
	}
	if spec.GetRoleArn() != "" {
		cfg.Credentials.Roles = []cloudwatch.Role{{ARN: spec.GetRoleArn(), ExternalID: spec.GetExternalId()}}
	}
	if err := awsKeys(s, &cfg.Credentials); err != nil {
		return jobs.Opened{}, err
	}
	c, err := cloudwatch.New(ctx, cfg)
	if err != nil {
		return jobs.Opened{}, err
	}
	return jobs.Opened{Collector: c}, nil
}

// awsKeys takes a file as one of the shared credentials files, and any other secret as keys in JSON, in the form in which
// AWS's own tools export them.
func awsKeys(s jobs.Source, into *cloudwatch.Credentials) error {
	if file, is := s.Spec.GetCredential().GetReference().(*novacronv1.MetricCredential_File); is {
		into.Files = []string{file.File}
		return nil
	}
	text, err := secret(s)
	if err != nil || text == nil {
		return err
	}
	keys := struct{ AccessKeyID, SecretAccessKey, SessionToken string }{}
	if err := json.Unmarshal(text, &keys); err != nil || keys.AccessKeyID == "" || keys.SecretAccessKey == "" {
		return errors.New(`credential: it is no pair of keys: give {"AccessKeyId": "…", "SecretAccessKey": "…"}, as «aws configure export-credentials» prints it`)
	}
	into.AccessKeyID, into.SecretAccessKey, into.SessionToken = keys.AccessKeyID, keys.SecretAccessKey, keys.SessionToken
	return nil
}

func (m *Maker) azure(ctx context.Context, s jobs.Source) (jobs.Opened, error) {
	spec := s.Spec.GetAzure()
	cfg := azuremonitor.Config{
		Subscriptions: spec.GetSubscriptions(), ResourceGroups: spec.GetResourceGroups(), Tags: s.Spec.GetTags(),
		Interval: s.Spec.GetInterval().AsDuration(), Since: s.From, DailyCalls: int(s.Spec.GetBudget().GetUnitsPerDay()),
		PricePerCall: s.Spec.GetBudget().GetPricePerUnit(), Stores: s.Store, Paces: &m.paces, Pauses: s.Pauses, Spent: s.Spent, Meter: s.Meter, Logger: m.Logger,
		Credentials: azuremonitor.Credentials{TenantID: spec.GetTenantId(), ClientID: spec.GetClientId()},
	}
	if extended(s) {
		cfg.Sets = azuremonitor.Sets
	}
	text, err := secret(s)
	switch {
	case err != nil:
		return jobs.Opened{}, err
	case bytes.Contains(text, []byte("-----BEGIN ")):
		cfg.Credentials.Certificate = text
	case text != nil:
		cfg.Credentials.ClientSecret = string(text)
	case spec.GetClientId() != "":
		cfg.Credentials.ManagedIdentity = true
	}
	c, err := azuremonitor.New(ctx, cfg)
	if err != nil {
		return jobs.Opened{}, err
	}
	return jobs.Opened{Collector: c}, nil
}

func (m *Maker) gcp(ctx context.Context, s jobs.Source) (jobs.Opened, error) {
	spec := s.Spec.GetGcp()
	text, err := secret(s)
	if err != nil {
		return jobs.Opened{}, fmt.Errorf("google cloud: %w", err)
	}
	c, err := gcpmonitoring.New(ctx, gcpmonitoring.Config{
		Projects: spec.GetProjects(), Credentials: gcpmonitoring.Credentials{JSON: text, Impersonate: spec.GetImpersonate()},
		Extended: extended(s), Agent: extended(s), Tags: s.Spec.GetTags(), Interval: s.Spec.GetInterval().AsDuration(), Since: s.From,
		DailySeries: int(s.Spec.GetBudget().GetUnitsPerDay()), SeriesPrice: s.Spec.GetBudget().GetPricePerUnit(),
		Stores: s.Store, Paces: &m.paces, Pauses: s.Pauses, Spent: s.Spent, Meter: s.Meter, Logger: m.Logger,
	})
	if err != nil {
		return jobs.Opened{}, err
	}
	return jobs.Opened{Collector: c, Close: c.Close}, nil
}
