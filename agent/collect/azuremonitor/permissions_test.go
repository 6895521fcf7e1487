package azuremonitor

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTheRoleOnlyReads holds that the role which is handed out changes nothing and covers all that is called.
func TestTheRoleOnlyReads(t *testing.T) {
	data, err := os.ReadFile("../../../deploy/permissions/azure-role.json")
	require.NoError(t, err)
	var role struct {
		Actions, DataActions []string
	}
	require.NoError(t, json.Unmarshal(data, &role))
	require.Empty(t, role.DataActions)
	for _, action := range role.Actions {
		require.Regexp(t, `^Microsoft\.[A-Za-z/]+/read$`, action)
	}
	for _, needed := range []string{"Compute/virtualMachines", "Compute/skus", "Insights/metrics", "Insights/metricDefinitions", "Resources/subscriptions/resources"} {
		require.Contains(t, role.Actions, "Microsoft."+needed+"/read")
	}
}
