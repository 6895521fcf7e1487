package itest_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/cluster/pki"
)

// allowed says which roles a procedure lets in; whatever is not here lets nobody in at a controller's door. A new
// procedure fails the test until somebody has decided.
func allowed() map[string][]pki.Role {
	const admin, operator, viewer, controller, agent, joiner = pki.RoleAdmin, pki.RoleOperator, pki.RoleViewer, pki.RoleController, pki.RoleAgent, pki.Role("joiner")
	const metricsWriter, metricsReader = pki.RoleMetricsWriter, pki.RoleMetricsReader
	readers, operators := []pki.Role{admin, operator, viewer, controller}, []pki.Role{admin, operator}
	return map[string][]pki.Role{
		"/novacron.v1.VMService/CreateVM":             operators,
		"/novacron.v1.VMService/PlanVM":               operators,
		"/novacron.v1.VMService/GetVM":                readers,
		"/novacron.v1.VMService/ListVMs":              readers,
		"/novacron.v1.VMService/SetVMPower":           operators,
		"/novacron.v1.VMService/DeleteVM":             operators,
		"/novacron.v1.VMService/RestartVM":            operators,
		"/novacron.v1.VMService/UpdateVM":             operators,
		"/novacron.v1.VMService/ApplyVM":              operators,
		"/novacron.v1.VMService/AdoptVM":              {admin},
		"/novacron.v1.VMService/AttachISO":            operators,
		"/novacron.v1.VMService/EjectISO":             operators,
		"/novacron.v1.HostService/ListForeignDomains": readers,
		"/novacron.v1.VMService/GetGuest":             readers,
		"/novacron.v1.VMService/Screenshot":           operators,
		"/novacron.v1.VMService/WatchVMs":             readers,
		"/novacron.v1.VMService/Console":              operators,
		"/novacron.v1.ImageService/UploadImage":       operators,
		"/novacron.v1.ImageService/CreateImage":       operators,
		"/novacron.v1.ImageService/GetImage":          readers,
		"/novacron.v1.ImageService/ListImages":        readers,
		"/novacron.v1.ImageService/DeleteImage":       operators,
		"/novacron.v1.NetworkService/CreateNetwork":   {admin},
		"/novacron.v1.NetworkService/GetNetwork":      readers,
		"/novacron.v1.NetworkService/ListNetworks":    readers,
		"/novacron.v1.NetworkService/DeleteNetwork":   {admin},

		"/novacron.v1.SecurityGroupService/CreateSecurityGroup": {admin},
		"/novacron.v1.SecurityGroupService/UpdateSecurityGroup": {admin},
		"/novacron.v1.SecurityGroupService/GetSecurityGroup":    readers,
		"/novacron.v1.SecurityGroupService/ListSecurityGroups":  readers,
		"/novacron.v1.SecurityGroupService/DeleteSecurityGroup": {admin},

		"/novacron.v1.HostService/GetHost":      readers,
		"/novacron.v1.HostService/ListHosts":    readers,
		"/novacron.v1.HostService/PlanDrain":    readers,
		"/novacron.v1.HostService/DrainHost":    {admin},
		"/novacron.v1.EventService/WatchEvents": readers,

		"/novacron.v1.MetricService/CreateMetricSource":     {admin},
		"/novacron.v1.MetricService/GetMetricSource":        readers,
		"/novacron.v1.MetricService/ListMetricSources":      readers,
		"/novacron.v1.MetricService/UpdateMetricSource":     {admin},
		"/novacron.v1.MetricService/DeleteMetricSource":     {admin},
		"/novacron.v1.MetricService/DefineMetric":           operators,
		"/novacron.v1.MetricService/ListMetricDefinitions":  readers,
		"/novacron.v1.MetricService/DeleteMetricDefinition": operators,
		"/novacron.v1.MetricService/PushMetrics":            {admin, operator, metricsWriter},
		"/novacron.v1.MetricService/QueryMetrics":           {admin, operator, viewer, controller, metricsReader},
		"/novacron.v1.MetricService/RenderMetrics":          {admin, operator, viewer, controller, metricsReader},
		"/novacron.v1.MetricService/GetMetricLimits":        readers,
		"/novacron.v1.MetricService/SetMetricLimits":        {admin},
		"/novacron.v1.MetricService/ExploreCardinality":     {admin, operator, viewer, controller, metricsReader},

		"/novacron.v1.MetricForwardService/CreateMetricForward": {admin},
		"/novacron.v1.MetricForwardService/GetMetricForward":    readers,
		"/novacron.v1.MetricForwardService/ListMetricForwards":  readers,
		"/novacron.v1.MetricForwardService/UpdateMetricForward": {admin},
		"/novacron.v1.MetricForwardService/DeleteMetricForward": {admin},

		"/novacron.v1.TemplateService/PutTemplate":        operators,
		"/novacron.v1.TemplateService/GetTemplate":        readers,
		"/novacron.v1.TemplateService/ListTemplates":      readers,
		"/novacron.v1.TemplateService/DeleteTemplate":     operators,
		"/novacron.v1.TemplateService/RenderTemplate":     readers,
		"/novacron.v1.StorageService/ListPools":           readers,
		"/novacron.v1.StorageService/ListStoredVolumes":   readers,
		"/novacron.v1.StorageService/RemoveOrphan":        {admin},
		"/novacron.v1.StorageService/CreatePool":          {admin},
		"/novacron.v1.StorageService/DeletePool":          {admin},
		"/novacron.v1.StorageService/CreateVolume":        operators,
		"/novacron.v1.StorageService/GetVolume":           readers,
		"/novacron.v1.StorageService/ListVolumes":         readers,
		"/novacron.v1.StorageService/ResizeVolume":        operators,
		"/novacron.v1.StorageService/DeleteVolume":        operators,
		"/novacron.v1.StorageService/DownloadVolume":      operators,
		"/novacron.v1.ClusterService/ListMembers":         {admin, operator, viewer, controller, agent},
		"/novacron.v1.ClusterService/GetHealth":           readers,
		"/novacron.v1.ClusterService/GetControllerStatus": readers,
		"/novacron.v1.ClusterService/CreateToken":         {admin},
		"/novacron.v1.ClusterService/ListTokens":          {admin},
		"/novacron.v1.ClusterService/RevokeToken":         {admin},
		"/novacron.v1.ClusterService/RenewCertificate":    {admin, operator, viewer, controller, agent, metricsWriter, metricsReader},
		"/novacron.v1.ClusterService/RemoveMember":        {admin, controller, agent},
		"/novacron.v1.ClusterService/SetMemberVoting":     {admin},
		"/novacron.v1.ClusterService/TransferLeadership":  {admin},
		"/novacron.v1.ClusterService/Backup":              {admin},
		"/novacron.v1.ClusterService/Restore":             {admin},
		"/novacron.v1.JoinService/Join":                   {joiner},
		"/agent.v1.DesiredService/Watch":                  {agent},
		"/agent.v1.DesiredService/Report":                 {agent},
		"/agent.v1.BlobService/StatBlob":                  {controller, agent},
		"/agent.v1.BlobService/GetBlob":                   {controller, agent},
		"/agent.v1.BlobService/PullBlob":                  {controller},
	}
}

// agentServices are served by agents: a controller's door lets nobody in to these.
func agentServices() []protoreflect.Name {
	return []protoreflect.Name{"HostAgentService", "StorageAgentService", "MetricAgentService", "ShardService"}
}

// everyRoleAtEveryDoor calls every procedure that the protocol has, with an empty request, as everyone who has no
// business there.
func everyRoleAtEveryDoor(t *testing.T, s *scene) {
	token, err := s.Token(t.Context(), tokenRequest(pki.RoleViewer))
	require.NoError(t, err)
	parsed, err := pki.ParseToken(token)
	require.NoError(t, err)
	clients := map[pki.Role]*http.Client{
		pki.RoleAdmin:      s.admin.HTTP,
		pki.RoleOperator:   s.as(s.enroll("runner", pki.RoleOperator)).HTTP,
		pki.RoleViewer:     s.as(s.enroll("watcher", pki.RoleViewer)).HTTP,
		pki.RoleController: s.as(s.material("controller-1")).HTTP,
		pki.RoleAgent:      s.as(s.material("host-1")).HTTP,

		pki.RoleMetricsWriter: s.as(s.enroll("sender", pki.RoleMetricsWriter)).HTTP,
		pki.RoleMetricsReader: s.as(s.enroll("dashboard", pki.RoleMetricsReader)).HTTP,

		"joiner": node.HTTPClient(pki.JoinTLS(parsed.CAFingerprint)),
	}
	defer clients["joiner"].CloseIdleConnections()
	for _, role := range pki.Roles() {
		require.Contains(t, clients, role, "a role that nobody attacks with")
	}
	rules, seen := allowed(), 0
	s.nothingChanges(func() {
		for _, method := range methods() {
			procedure := "/" + string(method.Parent().FullName()) + "/" + string(method.Name())
			roles, known := rules[procedure]
			if known {
				seen++
			}
			atAgents := slices.Contains(agentServices(), method.Parent().Name())
			require.True(t, known || atAgents, "%s: decide who may call it, here and in controller/rpc/policy.go", procedure)
			may := map[pki.Role]bool{}
			for _, role := range roles {
				may[role] = true
			}
			for role, client := range clients {
				if !may[role] {
					require.Equal(t, "permission_denied", codeOf(t, client, s.admin.Address, procedure, method), "%s as %s", procedure, role)
				}
			}
		}
		for role, code := range map[pki.Role]string{pki.RoleMetricsWriter: "permission_denied", pki.RoleViewer: "", pki.RoleMetricsReader: ""} {
			require.Equal(t, code, promCode(t, clients[role], s.admin.Address), "the HTTP API of Prometheus as %s", role)
		}
		for role, client := range clients {
			if !slices.Contains(rules["/novacron.v1.MetricService/PushMetrics"], role) {
				require.Equal(t, "permission_denied", codeOf(t, client, s.admin.Address, "/api/v1/write", nil), "remote write as %s", role)
			}
		}
		require.Equal(t, http.StatusBadRequest, statusOf(t, clients[pki.RoleMetricsWriter], s.admin.Address, "/api/v1/write"), "it gets in, with what makes no sense")
		for _, path := range []string{"/", "/debug/pprof/", "/novacron.v1.VMService/NoSuchCall", "/novacron.v1.VMService/../VMService/CreateVM"} {
			for role, client := range clients {
				require.Equal(t, "permission_denied", codeOf(t, client, s.admin.Address, path, nil), "%s as %s", path, role)
			}
		}
	})
	require.Len(t, rules, seen, "a rule is about a procedure that is gone")
}

// statusOf posts something to a path that none takes.
func statusOf(t *testing.T, client *http.Client, address, path string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, node.URL(address)+path, bytes.NewReader([]byte("{}")))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode
}

// promCode asks a query over the HTTP API of Prometheus and gives the code of the refusal; empty where it is answered.
func promCode(t *testing.T, client *http.Client, address string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, node.URL(address)+"/api/v1/query?query=1", http.NoBody)
	require.NoError(t, err)
	response, err := client.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	if response.StatusCode == http.StatusOK {
		return ""
	}
	answer := struct{ Code string }{}
	require.NoError(t, json.NewDecoder(response.Body).Decode(&answer))
	return answer.Code
}

// methods are all procedures that are linked into this program and ours.
func methods() (all []protoreflect.MethodDescriptor) {
	for _, prefix := range []protoreflect.FullName{"novacron.v1", "agent.v1"} {
		protoregistry.GlobalFiles.RangeFilesByPackage(prefix, func(file protoreflect.FileDescriptor) bool {
			for i := range file.Services().Len() {
				service := file.Services().Get(i)
				for j := range service.Methods().Len() {
					all = append(all, service.Methods().Get(j))
				}
			}
			return true
		})
	}
	return all
}

// codeOf calls with an empty request and gives the code of the answer, in the words of the Connect protocol.
func codeOf(t *testing.T, client *http.Client, address, path string, method protoreflect.MethodDescriptor) string {
	t.Helper()
	streams := method != nil && (method.IsStreamingClient() || method.IsStreamingServer())
	kind, body := "application/json", []byte("{}")
	if streams {
		kind, body = "application/connect+json", append(binary.BigEndian.AppendUint32([]byte{0}, 2), "{}"...)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, node.URL(address)+path, bytes.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", kind)
	response, err := client.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	answer := struct {
		Code  string
		Error struct{ Code string }
	}{}
	if streams && len(text) > 5 { // the end of a stream is a framed message
		text = text[5:]
	}
	require.NoError(t, json.Unmarshal(text, &answer), "%s: %d %s", path, response.StatusCode, text)
	return answer.Code + answer.Error.Code
}
