package cloudwatch

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect/cloudwatch/fakecloud"
)

const (
	roleHub    = "arn:aws:iam::123456789012:role/hub"
	roleTarget = "arn:aws:iam::210987654321:role/novacron"
)

// ofTarget is the account whose metrics came.
func (l *lab) accountOf(t *testing.T) string {
	metrics := l.good()
	require.NotEmpty(t, metrics)
	return metrics[0].Labels["cloud_account_id"]
}

func TestRolesAreAssumedOneAfterTheOther(t *testing.T) {
	inLab(t, func(l *lab) {
		l.traffic()
		l.aws.AddRole(roleHub, fakecloud.Role{Account: testAccount})
		l.aws.AddRole(roleTarget, fakecloud.Role{ExternalID: "ours", Account: testAccount})
		l.start(func(c *Config) {
			c.Credentials.Roles = []Role{{ARN: roleHub}, {ARN: roleTarget, ExternalID: "ours"}}
		})
		require.Equal(t, "210987654321", l.accountOf(t))
		require.Equal(t, 2, l.aws.Calls()["AssumeRole"])
		until("12:55:00")
		l.good()
		until("13:05:00")
		l.good()
		require.LessOrEqual(t, l.aws.Calls()["AssumeRole"], 4, "credentials are kept until they end")
	})
}

func TestRoleWithoutItsExternalID(t *testing.T) {
	inLab(t, func(l *lab) {
		l.traffic()
		l.aws.AddRole(roleTarget, fakecloud.Role{ExternalID: "ours"})
		l.start(func(c *Config) { c.Credentials.Roles = []Role{{ARN: roleTarget}} })
		_, err := l.once()
		require.ErrorContains(t, err, "AccessDenied")
		require.ErrorContains(t, err, "access key AKIATEST as role/novacron may not do this")
	})
}

func TestWebIdentity(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte("good"), 0o600))
	inLab(t, func(l *lab) {
		l.traffic()
		l.aws.AddRole(roleTarget, fakecloud.Role{})
		l.start(func(c *Config) {
			c.Credentials = Credentials{WebIdentity: WebIdentity{RoleARN: roleTarget, TokenFile: file}}
		})
		require.Equal(t, "210987654321", l.accountOf(t))
	})
}

func TestProfile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	require.NoError(t, os.WriteFile(file, []byte("[profile hub]\naws_access_key_id = AKIATEST\naws_secret_access_key = x\nregion = eu-central-1\n"), 0o600))
	inLab(t, func(l *lab) {
		l.traffic()
		profile := func(name string) func(*Config) {
			return func(c *Config) {
				c.Regions, c.Credentials = nil, Credentials{Profile: name, Files: []string{file}}
			}
		}
		l.start(profile("hub"))
		require.Equal(t, testAccount, l.accountOf(t), "the region is the profile's")
		cfg := l.config()
		profile("other")(&cfg)
		_, err := New(context.Background(), cfg)
		require.ErrorContains(t, err, "profile other")
	})
}

// TestDefaultChain takes the keys that the environment has.
func TestDefaultChain(t *testing.T) {
	inLabWith(t, map[string]string{"AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": testRegion}, func(l *lab) {
		l.traffic()
		l.start(func(c *Config) { c.Regions, c.Credentials = nil, Credentials{} })
		require.Equal(t, testAccount, l.accountOf(t))
	})
}

func TestNoCredentialsAtAll(t *testing.T) {
	inLab(t, func(l *lab) {
		l.start(func(c *Config) { c.Credentials = Credentials{} })
		_, err := l.once()
		require.ErrorContains(t, err, "check the default credentials")
	})
}

func TestConfigIsRefused(t *testing.T) {
	for text, change := range map[string]func(*Config){
		`region "frankfurt"`: func(c *Config) { c.Regions = []string{"frankfurt"} },
		`set "all"`:          func(c *Config) { c.Sets = []Set{"all"} },
		"at least 1m":        func(c *Config) { c.Interval = time.Second },
		"at most 360h":       func(c *Config) { c.Back = 1000 * time.Hour },
		"no place for":       func(c *Config) { c.Stores = nil },
		"exclude each other": func(c *Config) { c.Credentials.Profile = "hub" },
		"give both":          func(c *Config) { c.Credentials.SecretAccessKey = "" },
		"a file with a token": func(c *Config) {
			c.Credentials = Credentials{WebIdentity: WebIdentity{RoleARN: roleHub}}
		},
		"use an ARN": func(c *Config) { c.Credentials.Roles = []Role{{ARN: "novacron"}} },
		"no region":  func(c *Config) { c.Regions = nil },
	} {
		t.Run(text, func(t *testing.T) {
			inLab(t, func(l *lab) {
				cfg := l.config()
				change(&cfg)
				_, err := New(context.Background(), cfg)
				require.ErrorContains(t, err, text)
			})
		})
	}
}

func TestStateOfAnotherVersion(t *testing.T) {
	for _, name := range []string{"counters", "windows", "inventory-" + testRegion} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				require.NoError(t, l.store(name).Save(context.Background(), []byte(`{"version":99}`)))
				_, err := New(context.Background(), l.config())
				require.ErrorContains(t, err, "upgrade this node")
			})
		})
	}
}

func TestSecretsAreNotTold(t *testing.T) {
	c := Credentials{AccessKeyID: "AKIA", SecretAccessKey: "hush", SessionToken: "hush", Roles: []Role{{ARN: roleHub, ExternalID: "hush"}}}
	require.Equal(t, "access key AKIA as role/hub", c.String())
}

// TestPolicyAllowsWhatIsCalled holds the policy that users are given: all that is needed and nothing else.
func TestPolicyAllowsWhatIsCalled(t *testing.T) {
	data, err := os.ReadFile("../../../deploy/permissions/aws-policy.json")
	require.NoError(t, err)
	var policy struct {
		Statement []struct {
			Effect, Resource string
			Action           []string
		}
	}
	require.NoError(t, json.Unmarshal(data, &policy))
	require.Len(t, policy.Statement, 1)
	var actions []string
	for _, of := range []api{apiMetricData, apiList, apiStatistics, apiInstances, apiTypes, apiVolumes} {
		actions = append(actions, of.action)
	}
	require.ElementsMatch(t, actions, policy.Statement[0].Action)
}
