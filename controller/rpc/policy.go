package rpc

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

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
		novacronv1connect.MetricServicePushMetricsProcedure:            {here, operators},
		novacronv1connect.MetricServiceQueryMetricsProcedure:           {here, viewers},

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
		novacronv1connect.ClusterServiceRenewCertificateProcedure:    {here, everyone},
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

// Where the HTTP API of Prometheus is, which only reads.
const (
	prometheusPath = "/api/v1/"
	healthPath     = "/-/"
)

// table finds the rule of a path.
type table struct {
	procedures map[string]rule
	prometheus rule
}

func newTable() table {
	all := rules()
	return table{all, all[novacronv1connect.MetricServiceQueryMetricsProcedure]}
}

// of is the rule of a path; the HTTP API of Prometheus has that of queries.
func (t table) of(path string) rule {
	if strings.HasPrefix(path, prometheusPath) || strings.HasPrefix(path, healthPath) {
		return t.prometheus
	}
	return t.procedures[path]
}

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
