package source

import (
	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/custom"
	"github.com/novacron/novacron/agent/jobs"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

func scrape(s jobs.Source) (jobs.Opened, error) {
	spec := s.Spec.GetScrape()
	login, err := loginOf(s)
	if err != nil {
		return jobs.Opened{}, err
	}
	cfg := custom.Config{
		Job: s.Spec.GetName(), URL: spec.GetUrl(), Labels: s.Spec.GetLabels(), Metrics: s.Spec.GetMetrics(), Undeclared: spec.GetUndeclared(),
		NativeHistograms: true, Timeout: spec.GetTimeout().AsDuration(), Login: login, State: s.Store(collect.SeriesName), Meter: s.Meter,
	}
	if pem := spec.GetCaPem(); pem != "" {
		cfg.TLS.CA = custom.Secret{Value: []byte(pem)}
	}
	c, err := custom.New(cfg)
	if err != nil {
		return jobs.Opened{}, err
	}
	return jobs.Opened{Collector: c, Limits: cfg.CollectLimits()}, nil
}

// loginOf passes references on, which are read again for each scrape, and a sealed secret as it is.
func loginOf(s jobs.Source) (custom.Login, error) {
	login := custom.Login{User: s.Spec.GetScrape().GetUsername()}
	switch ref := s.Spec.GetCredential().GetReference().(type) {
	case *novacronv1.MetricCredential_File:
		login.Secret.File = ref.File
	case *novacronv1.MetricCredential_Environment:
		login.Secret.Env = ref.Environment
	case *novacronv1.MetricCredential_Sealed:
		text, err := secret(s)
		if err != nil {
			return login, err
		}
		login.Secret.Value = text
	}
	return login, nil
}
