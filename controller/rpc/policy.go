package rpc

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"connectrpc.com/connect"

	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/proto/agent/v1/agentv1connect"
	"github.com/novacron/novacron/proto/novacron/v1/novacronv1connect"
)

// place is where a call is answered.
type place int

const (
	// here: by the controller that was called, from what it has.
	here place = iota
	// read: by the leader, unless the caller is content with a stale answer.
	read
	// leader: by the leader alone.
	leader
)

// rule says who may call a procedure and where it is answered. A procedure without a rule is closed to everyone.
type rule struct {
	at    place
	roles []pki.Role
}

func (r rule) admits(role pki.Role) bool { return slices.Contains(r.roles, role) }

// rules is the whole authority of the cluster, on one page.
func rules() map[string]rule {
	var (
		admins      = []pki.Role{pki.RoleAdmin}
		operators   = []pki.Role{pki.RoleAdmin, pki.RoleOperator}
		viewers     = []pki.Role{pki.RoleAdmin, pki.RoleOperator, pki.RoleViewer, pki.RoleController}
		nodes       = []pki.Role{pki.RoleController, pki.RoleAgent}
		agents      = []pki.Role{pki.RoleAgent}
		controllers = []pki.Role{pki.RoleController}
		everyone    = []pki.Role{pki.RoleAdmin, pki.RoleOperator, pki.RoleViewer, pki.RoleController, pki.RoleAgent}
		writers     = append(slices.Clone(operators), pki.RoleMetricsWriter) // of metrics
		readers     = append(slices.Clone(viewers), pki.RoleMetricsReader)   // of metrics
		holders     = pki.Roles()                                            // of a certificate
		joiners     = []pki.Role{RoleJoiner}
		leavers     = []pki.Role{pki.RoleAdmin, pki.RoleController, pki.RoleAgent}
	)
	return map[string]rule{
		novacronv1connect.VMServiceCreateVMProcedure:   {leader, operators},
		novacronv1connect.VMServicePlanVMProcedure:     {read, operators},
		novacronv1connect.VMServiceGetVMProcedure:      {read, viewers},
		novacronv1connect.VMServiceListVMsProcedure:    {read, viewers},
		novacronv1connect.VMServiceSetVMPowerProcedure: {leader, operators},
		novacronv1connect.VMServiceDeleteVMProcedure:   {leader, operators},
		novacronv1connect.VMServiceRestartVMProcedure:  {leader, operators},
		novacronv1connect.VMServiceUpdateVMProcedure:   {leader, operators},
		novacronv1connect.VMServiceApplyVMProcedure:    {leader, operators},
		novacronv1connect.VMServiceAdoptVMProcedure:    {leader, admins},
		novacronv1connect.VMServiceAttachISOProcedure:  {leader, operators},
		novacronv1connect.VMServiceEjectISOProcedure:   {leader, operators},
		novacronv1connect.VMServiceGetGuestProcedure:   {here, viewers},
		novacronv1connect.VMServiceScreenshotProcedure: {here, operators},
		novacronv1connect.VMServiceWatchVMsProcedure:   {here, viewers},
		novacronv1connect.VMServiceConsoleProcedure:    {here, operators},

		novacronv1connect.ImageServiceUploadImageProcedure: {here, operators},
		novacronv1connect.ImageServiceCreateImageProcedure: {leader, operators},
		novacronv1connect.ImageServiceGetImageProcedure:    {read, viewers},
		novacronv1connect.ImageServiceListImagesProcedure:  {read, viewers},
		novacronv1connect.ImageServiceDeleteImageProcedure: {leader, operators},

		novacronv1connect.NetworkServiceCreateNetworkProcedure: {leader, admins},
		novacronv1connect.NetworkServiceGetNetworkProcedure:    {read, viewers},
		novacronv1connect.NetworkServiceListNetworksProcedure:  {read, viewers},
		novacronv1connect.NetworkServiceDeleteNetworkProcedure: {leader, admins},

		novacronv1connect.SecurityGroupServiceCreateSecurityGroupProcedure: {leader, admins},
		novacronv1connect.SecurityGroupServiceUpdateSecurityGroupProcedure: {leader, admins},
		novacronv1connect.SecurityGroupServiceGetSecurityGroupProcedure:    {read, viewers},
		novacronv1connect.SecurityGroupServiceListSecurityGroupsProcedure:  {read, viewers},
		novacronv1connect.SecurityGroupServiceDeleteSecurityGroupProcedure: {leader, admins},

		novacronv1connect.HostServiceGetHostProcedure:            {read, viewers},
		novacronv1connect.HostServiceListHostsProcedure:          {read, viewers},
		novacronv1connect.HostServiceListForeignDomainsProcedure: {here, viewers},
		novacronv1connect.HostServicePlanDrainProcedure:          {read, viewers},
		novacronv1connect.HostServiceDrainHostProcedure:          {leader, admins},

		novacronv1connect.StorageServiceListPoolsProcedure:         {here, viewers},
		novacronv1connect.StorageServiceListStoredVolumesProcedure: {here, viewers},
		novacronv1connect.StorageServiceRemoveOrphanProcedure:      {leader, admins},
		novacronv1connect.StorageServiceCreatePoolProcedure:        {leader, admins},
		novacronv1connect.StorageServiceDeletePoolProcedure:        {leader, admins},
		novacronv1connect.StorageServiceCreateVolumeProcedure:      {leader, operators},
		novacronv1connect.StorageServiceGetVolumeProcedure:         {read, viewers},
		novacronv1connect.StorageServiceListVolumesProcedure:       {read, viewers},
		novacronv1connect.StorageServiceResizeVolumeProcedure:      {leader, operators},
		novacronv1connect.StorageServiceDeleteVolumeProcedure:      {leader, operators},
		novacronv1connect.StorageServiceDownloadVolumeProcedure:    {here, operators},

		novacronv1connect.EventServiceWatchEventsProcedure: {here, viewers},

		// Who makes sources has hosts call others, with what the hosts have by themselves.
		novacronv1connect.MetricServiceCreateMetricSourceProcedure:     {leader, admins},
		novacronv1connect.MetricServiceGetMetricSourceProcedure:        {read, viewers},
		novacronv1connect.MetricServiceListMetricSourcesProcedure:      {read, viewers},
		novacronv1connect.MetricServiceUpdateMetricSourceProcedure:     {leader, admins},
		novacronv1connect.MetricServiceDeleteMetricSourceProcedure:     {leader, admins},
		novacronv1connect.MetricServiceDefineMetricProcedure:           {leader, operators},
		novacronv1connect.MetricServiceListMetricDefinitionsProcedure:  {read, viewers},
		novacronv1connect.MetricServiceDeleteMetricDefinitionProcedure: {leader, operators},
		novacronv1connect.MetricServicePushMetricsProcedure:            {here, writers},
		novacronv1connect.MetricServiceQueryMetricsProcedure:           {here, readers},
		novacronv1connect.MetricServiceRenderMetricsProcedure:          {here, readers},
		novacronv1connect.MetricServiceGetMetricLimitsProcedure:        {read, viewers},
		novacronv1connect.MetricServiceSetMetricLimitsProcedure:        {leader, admins},
		novacronv1connect.MetricServiceExploreCardinalityProcedure:     {here, readers},

		// Who makes forwards has hosts send to others what they know.
		novacronv1connect.MetricForwardServiceCreateMetricForwardProcedure: {leader, admins},
		novacronv1connect.MetricForwardServiceGetMetricForwardProcedure:    {read, viewers},
		novacronv1connect.MetricForwardServiceListMetricForwardsProcedure:  {read, viewers},
		novacronv1connect.MetricForwardServiceUpdateMetricForwardProcedure: {leader, admins},
		novacronv1connect.MetricForwardServiceDeleteMetricForwardProcedure: {leader, admins},

		novacronv1connect.TemplateServicePutTemplateProcedure:    {leader, operators},
		novacronv1connect.TemplateServiceGetTemplateProcedure:    {read, viewers},
		novacronv1connect.TemplateServiceListTemplatesProcedure:  {read, viewers},
		novacronv1connect.TemplateServiceDeleteTemplateProcedure: {leader, operators},
		novacronv1connect.TemplateServiceRenderTemplateProcedure: {read, viewers},

		novacronv1connect.ClusterServiceListMembersProcedure:         {read, everyone},
		novacronv1connect.ClusterServiceGetHealthProcedure:           {here, viewers},
		novacronv1connect.ClusterServiceGetControllerStatusProcedure: {here, viewers},
		novacronv1connect.ClusterServiceCreateTokenProcedure:         {leader, admins},
		novacronv1connect.ClusterServiceListTokensProcedure:          {read, admins},
		novacronv1connect.ClusterServiceRevokeTokenProcedure:         {leader, admins},
		novacronv1connect.ClusterServiceRenewCertificateProcedure:    {here, holders},
		novacronv1connect.ClusterServiceRemoveMemberProcedure:        {leader, leavers},
		novacronv1connect.ClusterServiceSetMemberVotingProcedure:     {leader, admins},
		novacronv1connect.ClusterServiceTransferLeadershipProcedure:  {leader, admins},
		novacronv1connect.ClusterServiceBackupProcedure:              {leader, admins},
		novacronv1connect.ClusterServiceRestoreProcedure:             {leader, admins},

		novacronv1connect.JoinServiceJoinProcedure: {leader, joiners},

		agentv1connect.DesiredServiceWatchProcedure:  {here, agents},
		agentv1connect.DesiredServiceReportProcedure: {leader, agents},
		agentv1connect.BlobServiceStatBlobProcedure:  {here, nodes},
		agentv1connect.BlobServiceGetBlobProcedure:   {here, nodes},
		agentv1connect.BlobServicePullBlobProcedure:  {here, controllers},
	}
}

// Where the HTTP API of Prometheus is, which only reads but for the path of remote write, and what a controller tells of
// itself.
const (
	prometheusPath = "/api/v1/"
	writePath      = "/api/v1/write"
	healthPath     = "/-/"
	ownPath        = "/metrics"
)

// table finds the rule of a path.
type table struct {
	procedures        map[string]rule
	prometheus, write rule
}

func newTable() table {
	all := rules()
	return table{all, all[novacronv1connect.MetricServiceQueryMetricsProcedure], all[novacronv1connect.MetricServicePushMetricsProcedure]}
}

// of is the rule of a path; the HTTP API of Prometheus has that of queries, and remote write that of pushes.
func (t table) of(path string) rule {
	switch {
	case path == writePath:
		return t.write
	case strings.HasPrefix(path, prometheusPath), strings.HasPrefix(path, healthPath), path == ownPath:
		return t.prometheus
	}
	return t.procedures[path]
}

// Procedure names what a path calls, for statistics: all paths that nobody serves have one name.
func Procedure(path string) string {
	if _, known := procedures()[path]; known {
		return path
	}
	switch {
	case path == writePath, path == ownPath:
		return path
	case strings.HasPrefix(path, prometheusPath):
		return prometheusPath
	case strings.HasPrefix(path, healthPath):
		return healthPath
	}
	return "unknown"
}

var procedures = sync.OnceValue(rules) //nolint:gochecknoglobals // a memo; nothing changes it

// authorise closes every door that no rule opens for the caller.
func (s *Server) authorise(next http.Handler) http.Handler {
	table := newTable()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller := callerOf(r.Context())
		if !table.of(r.URL.Path).admits(caller.Role) {
			s.Logger.Warn("call refused", "audit", true, "procedure", r.URL.Path, "caller", caller.String(), "remote", caller.Remote)
			writeError(w, r, connect.NewError(connect.CodePermissionDenied, fmt.Errorf(
				"role %s may not call %s: use a certificate of another role", caller.Role, r.URL.Path)))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// audit tells of every call that may change something, before it does.
func (s *Server) audit(next http.Handler) http.Handler {
	table := newTable()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller := callerOf(r.Context())
		if table.of(r.URL.Path).at == leader && caller.Role != pki.RoleAgent && !caller.Forwarded {
			s.Logger.Info("call", "audit", true, "procedure", r.URL.Path, "caller", caller.String(), "remote", caller.Remote)
		}
		next.ServeHTTP(w, r)
	})
}
