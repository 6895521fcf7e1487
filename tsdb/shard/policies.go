package shard

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/novacron/novacron/tsdb"
	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/engine/durable"
)

// policyFile is the name of the policies in a shard's folder. It is not there as long as the defaults hold.
const policyFile = "policies.json"

// policyVersion is the version of the file that this program writes, and the only one that it reads.
const policyVersion = 1

// policies are what is kept for how long, and in which tiers.
type policies struct {
	Version      int                     `json:"version"`
	Retention    tsdb.RetentionPolicy    `json:"retention"`
	Downsampling tsdb.DownsamplingPolicy `json:"downsampling"`
}

func defaultPolicies() policies {
	return policies{policyVersion, tsdb.DefaultRetention(), tsdb.DefaultDownsampling()}
}

// readPolicies reads the file strictly: what it does not understand it refuses, as samples could be lost by it.
func readPolicies(path string) (policies, error) {
	if path == "" {
		return defaultPolicies(), nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return defaultPolicies(), nil
	}
	if err != nil {
		return policies{}, err
	}
	p, err := decodePolicies(text)
	if err != nil {
		return policies{}, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

func decodePolicies(text []byte) (policies, error) {
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return policies{}, err
	}
	if head.Version != policyVersion {
		return policies{}, fmt.Errorf("version %d: this program reads version %d: open the shard with the program that wrote it", head.Version, policyVersion)
	}
	var p policies
	if err := DecodeStrict(text, &p); err != nil {
		return policies{}, err
	}
	return p, p.validate()
}

// DecodeStrict reads one JSON value and refuses keys that it does not know, and anything behind the value.
func DecodeStrict(text []byte, into any) error {
	in := json.NewDecoder(bytes.NewReader(text))
	in.DisallowUnknownFields()
	if err := in.Decode(into); err != nil {
		return err
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more behind the end of the value: remove it")
	}
	return nil
}

func (p policies) validate() error {
	if err := errors.Join(p.Retention.Validate(), p.Downsampling.Validate()); err != nil {
		return err
	}
	return tsdb.CheckTogether(p.Retention, p.Downsampling)
}

// durable is what the durable engine is told.
func (p policies) durable() (durable.Retention, []durable.TierWindows, error) {
	keep := func(r tsdb.Retention) durable.Keep {
		return durable.Keep{Raw: time.Duration(r.Raw), FiveMinutes: time.Duration(r.FiveMinutes), Hour: time.Duration(r.Hour)}
	}
	r := durable.Retention{Keep: keep(p.Retention.Default), Bytes: p.Retention.MaxBytes}
	for _, rule := range p.Retention.Rules {
		matchers, err := tsdb.Matchers(rule.Match)
		if err != nil {
			return durable.Retention{}, nil, err
		}
		r.Rules = append(r.Rules, durable.Rule{Matchers: matchers, Keep: keep(rule.Keep)})
	}
	tiers := []durable.TierWindows{}
	for _, tier := range p.Downsampling.Tiers {
		for _, t := range []engine.Tier{engine.TierFiveMinutes, engine.TierHour} {
			if t.Window() == time.Duration(tier.Resolution).Milliseconds() {
				tiers = append(tiers, durable.TierWindows{Tier: t, After: time.Duration(tier.After)})
			}
		}
	}
	return r, tiers, nil
}

// longestRaw is how long samples are kept at most, 0 for ever.
func (p policies) longestRaw() time.Duration {
	longest := p.Retention.Default.Raw
	for _, rule := range p.Retention.Rules {
		if rule.Keep.Raw == 0 || longest == 0 {
			return 0
		}
		longest = max(longest, rule.Keep.Raw)
	}
	return time.Duration(longest)
}

// Policies are the retention and the downsampling that hold.
func (s *Shard) Policies() (tsdb.RetentionPolicy, tsdb.DownsamplingPolicy) {
	s.configuring.Lock()
	defer s.configuring.Unlock()
	return s.policies.Retention, s.policies.Downsampling
}

// ConfigureRetention replaces the retention; see tsdb.MetricsStorage. What it no longer covers goes with the next
// upkeep, in steps of six hours or whole blocks. A shard in memory keeps only samples, and does not look at MaxBytes.
func (s *Shard) ConfigureRetention(ctx context.Context, policy tsdb.RetentionPolicy) error {
	return s.configure(ctx, func(p *policies) { p.Retention = policy })
}

// ConfigureDownsampling replaces the tiers; see tsdb.MetricsStorage. Windows that were made stay as long as their
// retention says. A shard in memory makes windows while it is read.
func (s *Shard) ConfigureDownsampling(ctx context.Context, policy tsdb.DownsamplingPolicy) error {
	return s.configure(ctx, func(p *policies) { p.Downsampling = policy })
}

// Configure replaces both policies at once.
func (s *Shard) Configure(ctx context.Context, retention tsdb.RetentionPolicy, downsampling tsdb.DownsamplingPolicy) error {
	return s.configure(ctx, func(p *policies) { p.Retention, p.Downsampling = retention, downsampling })
}

// configure makes changed policies durable, and then has the engine keep them.
func (s *Shard) configure(ctx context.Context, change func(*policies)) error {
	if s.options.ReadOnly {
		return engine.ErrReadOnly
	}
	s.configuring.Lock()
	defer s.configuring.Unlock()
	next := s.policies
	change(&next)
	next.Version = policyVersion
	if err := errors.Join(next.validate(), ctx.Err()); err != nil {
		return err
	}
	retention, tiers, err := next.durable()
	if err != nil {
		return err
	}
	if path := s.path(policyFile); path != "" {
		if err := saveJSON(path, next); err != nil {
			return fmt.Errorf("the policies were not changed: %w", err)
		}
	}
	s.policies = next
	if s.durable != nil {
		s.durable.Configure(retention, tiers)
	} else {
		s.memory.SetRetention(next.longestRaw())
	}
	return nil
}

// saveJSON puts a value into a file at once and durably.
func saveJSON(path string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	_, err = file.Write(append(text, '\n'))
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(path+".new", path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	return err
}

func syncDir(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
