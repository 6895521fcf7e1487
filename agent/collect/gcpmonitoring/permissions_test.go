package gcpmonitoring

import (
	"bufio"
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// permissionOf is what a call of Google's APIs takes.
var permissionOf = map[string]string{
	"ListTimeSeries": "monitoring.timeSeries.list", "ListMetricDescriptors": "monitoring.metricDescriptors.list",
	"instances": "compute.instances.list", "machineTypes": "compute.machineTypes.get",
}

// TestTheRoleAllowsWhatIsCalled holds that the role in deploy/permissions has what collecting calls, and nothing else.
func TestTheRoleAllowsWhatIsCalled(t *testing.T) {
	data, err := os.ReadFile("../../../deploy/permissions/gcp-role.yaml")
	require.NoError(t, err)
	allowed := map[string]bool{}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		if item, is := strings.CutPrefix(lines.Text(), "  - "); is {
			permission, _, _ := strings.Cut(item, " ")
			allowed[permission] = true
		}
	}
	inWorld(t, func(w *world) {
		w.add("11", "one")
		w.traffic()
		w.cfg.Extended, w.cfg.Agent, w.cfg.Unmapped = true, true, []string{"compute.googleapis.com/instance/gpu/"}
		w.open()
		w.wait(8 * time.Minute)
		w.whole()
		called := map[string]bool{}
		for call, n := range w.fake.Calls {
			require.NotEmpty(w.t, permissionOf[call], "%s: which permission does it take?", call)
			require.Positive(w.t, n)
			called[permissionOf[call]] = true
		}
		require.Equal(w.t, called, allowed)
	})
}
