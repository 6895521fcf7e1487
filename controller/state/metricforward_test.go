package state

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

func forwardTo(name, url string) *novacronv1.MetricForwardSpec {
	return &novacronv1.MetricForwardSpec{Name: name, Url: url, Labels: map[string]string{"cluster": "c"}}
}

func sealedForward(spec *novacronv1.MetricForwardSpec, fingerprint string) *novacronv1.MetricForwardSpec {
	spec.Credential = &novacronv1.MetricCredential{Reference: &novacronv1.MetricCredential_Sealed{Sealed: &novacronv1.SealedSecret{Fingerprint: fingerprint, KeyId: "k"}}}
	return spec
}

func putForward(spec *novacronv1.MetricForwardSpec, options ...func(*statev1.PutMetricForward)) func(*statev1.Command) {
	return func(c *statev1.Command) {
		op := &statev1.PutMetricForward{Spec: spec}
		for _, option := range options {
			option(op)
		}
		c.Op = &statev1.Command_PutMetricForward{PutMetricForward: op}
	}
}

func changing(generation uint64) func(*statev1.PutMetricForward) {
	return func(op *statev1.PutMetricForward) { op.Replace, op.Generation = true, generation }
}

func secretly(text string) func(*statev1.PutMetricForward) {
	return func(op *statev1.PutMetricForward) {
		op.Secret = &statev1.SealedMetricSecret{KeyId: "k", Ciphertext: []byte(text)}
	}
}

func dropForward(name string) func(*statev1.Command) {
	return func(c *statev1.Command) {
		c.Op = &statev1.Command_DeleteMetricForward{DeleteMetricForward: &statev1.DeleteMetricForward{Name: name}}
	}
}

func forwardOf(t *testing.T, v View, name string) *novacronv1.MetricForward {
	record, ok := v.MetricForward(name)
	require.True(t, ok)
	return record.GetForward()
}

func TestForwardsComeAndGo(t *testing.T) {
	f := newFixture(t)
	f.must(putForward(forwardTo("mimir", "http://a")))
	made := forwardOf(t, f.store.View(), "mimir")
	require.Equal(t, uint64(1), made.GetGeneration())
	require.Equal(t, made.GetRevision(), made.GetId())
	f.must(putForward(forwardTo("mimir", "http://a"))) // a retry
	require.True(t, proto.Equal(made, forwardOf(t, f.store.View(), "mimir")))

	_, err := f.apply(putForward(forwardTo("mimir", "http://b")))
	require.ErrorIs(t, err, ErrExists)
	_, err = f.apply(putForward(forwardTo("other", "http://b"), changing(0)))
	require.ErrorIs(t, err, ErrNotFound)
	_, err = f.apply(putForward(forwardTo("mimir", "http://b"), changing(2)))
	require.ErrorIs(t, err, ErrStale)
	_, err = f.apply(putForward(forwardTo("", "http://b")))
	require.ErrorIs(t, err, ErrInvalid)
	f.must(putForward(forwardTo("mimir", "http://b"), changing(1)))
	changed := forwardOf(t, f.store.View(), "mimir")
	require.Equal(t, uint64(2), changed.GetGeneration())
	require.Equal(t, made.GetId(), changed.GetId(), "its queue goes on")

	f.must(dropForward("mimir"))
	_, err = f.apply(dropForward("mimir"))
	require.ErrorIs(t, err, ErrNotFound)
	f.must(putForward(forwardTo("mimir", "http://b")))
	require.Greater(t, forwardOf(t, f.store.View(), "mimir").GetId(), made.GetId(), "another one")
}

func TestForwardSecrets(t *testing.T) {
	f := newFixture(t)
	_, err := f.apply(putForward(sealedForward(forwardTo("m", "http://a"), "f1")))
	require.ErrorIs(t, err, ErrInvalid)
	f.must(putForward(sealedForward(forwardTo("m", "http://a"), "f1"), secretly("one")))
	set := forwardOf(t, f.store.View(), "m").GetSpec().GetCredential().GetSealed().GetSetTime()
	require.NotNil(t, set)

	kept := sealedForward(forwardTo("m", "http://a"), "")
	kept.Match = []string{"up"}
	f.must(putForward(kept, changing(1)))
	record, _ := f.store.View().MetricForward("m")
	require.Equal(t, "one", string(record.GetSecret().GetCiphertext()))
	require.Equal(t, "f1", record.GetForward().GetSpec().GetCredential().GetSealed().GetFingerprint())

	for says, elsewhere := range map[string]*novacronv1.MetricForwardSpec{
		"another remote": sealedForward(forwardTo("m", "http://b"), ""),
		"give it again":  sealedForward(&novacronv1.MetricForwardSpec{Name: "m", Url: "http://a", CaPem: "x"}, ""),
	} {
		_, err = f.apply(putForward(elsewhere, changing(0)))
		require.ErrorContains(t, err, says)
	}
	f.must(putForward(sealedForward(forwardTo("m", "http://b"), "f2"), changing(0), secretly("two")))
	f.must(putForward(forwardTo("m", "http://b"), changing(0)))
	record, _ = f.store.View().MetricForward("m")
	require.Nil(t, record.GetSecret(), "a secret that is not used is not kept")
}

func TestForwardsAreBounded(t *testing.T) {
	f := newFixture(t)
	for i := range maxForwards {
		f.must(putForward(forwardTo(fmt.Sprint("f", i), "http://a")))
	}
	_, err := f.apply(putForward(forwardTo("more", "http://a")))
	require.ErrorIs(t, err, ErrRefused)
	large := forwardTo("f1", "http://a")
	large.CaPem = strings.Repeat("x", maxForwardsBytes)
	_, err = f.apply(putForward(large, changing(0)))
	require.ErrorContains(t, err, "more than 524288 bytes")
}

// TestForwardsOfABackup holds that hosts keep what they have queued for a forward that is the same today, and drop what
// is of one that was made anew since.
func TestForwardsOfABackup(t *testing.T) {
	f := newFixture(t)
	f.must(initCluster("cluster"))
	for _, name := range []string{"same", "changed", "anew", "gone"} {
		f.must(putForward(forwardTo(name, "http://a")))
	}
	then := f.store.View()
	backup := saved(t, then)
	f.must(putForward(forwardTo("changed", "http://b"), changing(0)))
	for _, name := range []string{"anew", "gone"} {
		f.must(dropForward(name))
	}
	f.must(putForward(forwardTo("anew", "http://a")))
	f.must(putForward(forwardTo("new", "http://a")))
	today := f.store.View()
	now := merged(t, backup, today)
	require.True(t, proto.Equal(forwardOf(t, then, "same"), forwardOf(t, now, "same")))
	require.Equal(t, "http://a", forwardOf(t, now, "changed").GetSpec().GetUrl())
	require.Equal(t, forwardOf(t, today, "changed").GetId(), forwardOf(t, now, "changed").GetId())
	require.Equal(t, uint64(3), forwardOf(t, now, "changed").GetGeneration())
	require.Greater(t, forwardOf(t, now, "anew").GetId(), forwardOf(t, today, "anew").GetId())
	require.Greater(t, forwardOf(t, now, "gone").GetId(), today.Revision())
	_, has := now.MetricForward("new")
	require.False(t, has)
}
