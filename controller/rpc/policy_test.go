package rpc

import (
	"testing"

	"github.com/novacron/novacron/cluster/pki"
)

func TestThePrometheusAPIIsForWhoMayQuery(t *testing.T) {
	rules := newTable()
	for _, path := range []string{"/api/v1/query", "/api/v1/label/host/values", "/api/v1/read", "/-/ready", "/metrics"} {
		for _, role := range []pki.Role{pki.RoleAdmin, pki.RoleOperator, pki.RoleViewer, pki.RoleController} {
			if !rules.of(path).admits(role) {
				t.Errorf("%s is closed to %s", path, role)
			}
		}
		for _, role := range []pki.Role{pki.RoleAgent, RoleJoiner, ""} {
			if rules.of(path).admits(role) {
				t.Errorf("%s is open to %q", path, role)
			}
		}
	}
	for _, path := range []string{"/api/v2/query", "/api", "/", "/metrics/x", "/api/v1"} {
		if rules.of(path).admits(pki.RoleAdmin) {
			t.Errorf("%s is open, and no rule says so", path)
		}
		if name := Procedure(path); name != "unknown" {
			t.Errorf("%s is counted as %s", path, name)
		}
	}
	if rules.of("/api/v1/write").admits(pki.RoleViewer) || !rules.of("/api/v1/write").admits(pki.RoleOperator) {
		t.Error("remote write is for those who may push metrics")
	}
}
