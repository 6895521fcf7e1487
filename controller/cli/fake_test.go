package cli

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/novacron/novacron/cluster/pki"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	api "github.com/novacron/novacron/proto/novacron/v1/novacronv1connect"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// clock is what every test takes for now.
func clock() time.Time { return time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC) }

func ago(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(clock().Add(-d)) }

// fake is a cluster in memory behind a real port with mutual TLS. What becomes of a machine is decided, and written into
// the log of changes, at the moment it is created: nothing depends on timing.
type fake struct {
	api.UnimplementedVMServiceHandler
	api.UnimplementedImageServiceHandler
	api.UnimplementedHostServiceHandler
	api.UnimplementedClusterServiceHandler
	api.UnimplementedStorageServiceHandler

	address string
	server  *http.Server

	mu       sync.Mutex
	changed  chan struct{}
	log      []*pb.WatchVMsResponse
	vms      map[string]*pb.VM
	requests map[string]string
	images   map[string]*pb.Image
	blobs    map[string]uint64
	tokens   map[string]*pb.Token
	headers  []string
	sent     []byte
	restored []byte
	// removed are stored volumes that were removed.
	removed map[string]bool
	volumes map[string]*pb.Volume

	// draining counts the looks at a host that is being emptied; 0 is none.
	draining int

	// Faults, counted down.
	unavailable, loseAnswer, cutWatch, forget int
	// Console sessions that are refused, as of a machine that does not run yet.
	notRunning int
}

// authority is a CA with the certificates that tests need.
type authority struct {
	t       *testing.T
	cluster string
	ca      *pki.CA
}

func newAuthority(t *testing.T) *authority { return authorityOf(t, "lab") }

func authorityOf(t *testing.T, cluster string) *authority {
	ca, err := pki.NewCA(cluster, time.Now())
	require.NoError(t, err)
	return &authority{t, cluster, ca}
}

// material is what a join gives.
func (a *authority) material(name string, role pki.Role) pki.Material {
	key, csr, err := pki.NewKeyAndCSR()
	require.NoError(a.t, err)
	id := pki.Identity{ClusterID: a.cluster, NodeID: "id-" + name, Name: name, Role: role}
	cert, err := a.ca.Sign(csr, id, nil, 0, time.Now())
	require.NoError(a.t, err)
	return pki.Material{Identity: id, CertPEM: cert, KeyPEM: key, CAPEM: a.ca.CertPEM()}
}

// startFake serves until the test ends.
func startFake(t *testing.T, a *authority, role pki.Role) *fake {
	credentials, err := pki.NewCredentials(a.material("ctl-1", role), pki.Options{})
	require.NoError(t, err)
	f := newFake()
	mux := http.NewServeMux()
	gate := connect.WithInterceptors(&gate{f})
	mux.Handle(api.NewVMServiceHandler(f, gate))
	mux.Handle(api.NewImageServiceHandler(f, gate))
	networks := newFakeNetworks()
	mux.Handle(api.NewNetworkServiceHandler(networks, gate))
	mux.Handle(api.NewSecurityGroupServiceHandler(networks, gate))
	mux.Handle(api.NewMetricServiceHandler(newFakeMetrics(), gate))
	mux.Handle(api.NewMetricForwardServiceHandler(newFakeForwards(), gate))
	mux.Handle(api.NewHostServiceHandler(f, gate))
	mux.Handle(api.NewClusterServiceHandler(f, gate))
	mux.Handle(api.NewStorageServiceHandler(f, gate))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	f.address = listener.Addr().String()
	f.server = quietServer(mux, credentials)
	go func() { _ = f.server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() { _ = f.server.Close() })
	return f
}

// quietServer does not log the handshakes that tests let fail.
func quietServer(handler http.Handler, credentials *pki.Credentials) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	return &http.Server{Handler: handler, TLSConfig: credentials.ServerTLS(), Protocols: protocols, ErrorLog: log.New(io.Discard, "", 0)}
}

func newFake() *fake {
	return &fake{
		changed: make(chan struct{}), vms: map[string]*pb.VM{}, requests: map[string]string{}, blobs: map[string]uint64{},
		images: map[string]*pb.Image{
			"debian-12": {Name: "debian-12", Sha256: strings.Repeat("ab", 32), SizeBytes: 325 << 20, Format: "qcow2", VirtualSizeBytes: 2 << 30, CreateTime: ago(72 * time.Hour), Revision: 3},
		},
		removed: map[string]bool{}, volumes: map[string]*pb.Volume{},
		tokens: map[string]*pb.Token{
			"tok1": {Id: "tok1", Role: pb.Role_ROLE_AGENT, NodeName: "kvm-3", ExpireTime: ago(-10 * time.Minute)},
		},
	}
}

// gate injects faults into unary calls and notes how fresh reads had to be.
type gate struct{ f *fake }

func (g *gate) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		g.f.note(req.Header().Get(consistencyHeader))
		if g.f.take(&g.f.unavailable) {
			return nil, connect.NewError(connect.CodeUnavailable, fmt.Errorf("no leader is elected"))
		}
		resp, err := next(ctx, req)
		if g.f.take(&g.f.loseAnswer) {
			return nil, connect.NewError(connect.CodeUnavailable, fmt.Errorf("leadership was lost meanwhile"))
		}
		return resp, err
	}
}

func (g *gate) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

func (g *gate) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		g.f.note(conn.RequestHeader().Get(consistencyHeader))
		return next(ctx, conn)
	}
}

func (f *fake) note(header string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.headers = append(f.headers, header)
}

// take counts a fault down and reports whether it is due.
func (f *fake) take(fault *int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if *fault == 0 {
		return false
	}
	*fault--
	return true
}

// put needs the lock.
func (f *fake) put(vm *pb.VM, deleted bool) {
	revision := uint64(len(f.log) + 1)
	vm = proto.Clone(vm).(*pb.VM)
	vm.Revision = revision
	f.log = append(f.log, &pb.WatchVMsResponse{Vm: vm, Revision: revision, Deleted: deleted})
	if f.vms[vm.Id] = vm; deleted {
		delete(f.vms, vm.Id)
	}
	close(f.changed)
	f.changed = make(chan struct{})
}

// find needs the lock.
func (f *fake) find(project, name string) (*pb.VM, error) {
	for _, vm := range f.vms {
		if vm.Id == name || vm.Spec.Name == name && vm.Spec.Project == project {
			return proto.Clone(vm).(*pb.VM), nil
		}
	}
	return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("virtual machine %q does not exist in project %q: `novacron vm list` shows those that do", name, project))
}

func (f *fake) CreateVM(_ context.Context, req *connect.Request[pb.CreateVMRequest]) (*connect.Response[pb.CreateVMResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	spec := req.Msg.Spec
	if spec.Cpus == 0 {
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("cpus: 0 is below the limit of 1: give the machine a CPU\nmemoryMB: %d is below the limit of 16: give it more memory", spec.MemoryMb))
	}
	if id, again := f.requests[req.Msg.RequestId]; again {
		return connect.NewResponse(&pb.CreateVMResponse{Vm: f.first(id)}), nil
	}
	if _, err := f.find(spec.Project, spec.Name); err == nil {
		return nil, connect.NewError(connect.CodeAlreadyExists, fmt.Errorf("virtual machine %q exists in project %q: choose another name", spec.Name, spec.Project))
	}
	id := fmt.Sprintf("vm-%d", len(f.log)+1)
	f.requests[req.Msg.RequestId] = id
	power := pb.PowerState_POWER_STATE_RUNNING
	if req.Msg.Stopped {
		power = pb.PowerState_POWER_STATE_STOPPED
	}
	vm := &pb.VM{Id: id, Spec: spec, Generation: 1, DesiredPower: power, CreateTime: ago(90 * time.Second),
		Operation: operation(id, "create", 1), Status: &pb.VMStatus{Phase: pb.VMPhase_VM_PHASE_PENDING}}
	f.put(vm, false)
	f.play(vm)
	return connect.NewResponse(&pb.CreateVMResponse{Vm: f.first(id)}), nil
}

// first is the machine as its creation answered it; it needs the lock.
func (f *fake) first(id string) *pb.VM {
	i := slices.IndexFunc(f.log, func(m *pb.WatchVMsResponse) bool { return m.Vm.Id == id })
	return f.log[i].Vm
}

func operation(id, kind string, generation uint64) *pb.Operation {
	return &pb.Operation{Id: fmt.Sprintf("op-%s-%d", id, generation), Kind: kind, Generation: generation,
		State: pb.OperationState_OPERATION_STATE_RUNNING, CreateTime: ago(90 * time.Second)}
}

// play writes what becomes of a new machine, by the beginning of its name. It needs the lock.
func (f *fake) play(vm *pb.VM) {
	if strings.HasPrefix(vm.Spec.Name, "lost") {
		vm.Status.Message = "no host fits: 2 hosts looked at\n1 host: not enough memory\n1 host: label disk=ssd is missing"
		f.put(vm, false)
		return
	}
	vm.HostId, vm.HostName, vm.Epoch = "id-kvm-1", "kvm-1", 1
	vm.Status = &pb.VMStatus{Phase: pb.VMPhase_VM_PHASE_SCHEDULED}
	f.put(vm, false)
	vm.Status = &pb.VMStatus{Phase: pb.VMPhase_VM_PHASE_CREATING, Step: "fetching image debian-12"}
	f.put(vm, false)
	vm.Status = &pb.VMStatus{Phase: finalPhase(vm), ObservedGeneration: vm.Generation, UpdateTime: ago(time.Minute)}
	vm.Operation.State = pb.OperationState_OPERATION_STATE_DONE
	if strings.HasPrefix(vm.Spec.Name, "fail") {
		vm.Status.Phase, vm.Status.Message = pb.VMPhase_VM_PHASE_FAILED, "pool \"fast\" is not active on kvm-1: start it with `virsh pool-start fast`"
		vm.Operation.State = pb.OperationState_OPERATION_STATE_FAILED
	}
	f.put(vm, false)
}

func finalPhase(vm *pb.VM) pb.VMPhase {
	if vm.DesiredPower == pb.PowerState_POWER_STATE_STOPPED {
		return pb.VMPhase_VM_PHASE_STOPPED
	}
	return pb.VMPhase_VM_PHASE_RUNNING
}

func (f *fake) GetVM(_ context.Context, req *connect.Request[pb.GetVMRequest]) (*connect.Response[pb.GetVMResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	vm, err := f.find(req.Msg.Project, req.Msg.Vm)
	return connect.NewResponse(&pb.GetVMResponse{Vm: vm}), err
}

// ListVMs answers one machine a page, so that clients must ask for the others.
func (f *fake) ListVMs(_ context.Context, req *connect.Request[pb.ListVMsRequest]) (*connect.Response[pb.ListVMsResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	filter, err := newFilter(req.Msg)
	if err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	var found []*pb.VM
	for _, vm := range f.vms {
		if vm.Spec.Project == req.Msg.Project && filter.matches(vm) && vm.Spec.Name > req.Msg.PageToken {
			found = append(found, vm)
		}
	}
	slices.SortFunc(found, func(a, b *pb.VM) int { return strings.Compare(a.Spec.Name, b.Spec.Name) })
	answer := &pb.ListVMsResponse{Vms: found}
	if len(found) > 1 {
		answer.Vms, answer.NextPageToken = found[:1], found[0].Spec.Name
	}
	return connect.NewResponse(answer), nil
}

func (f *fake) SetVMPower(_ context.Context, req *connect.Request[pb.SetVMPowerRequest]) (*connect.Response[pb.SetVMPowerResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	vm, err := f.find(req.Msg.Project, req.Msg.Vm)
	if err != nil {
		return nil, err
	}
	kind := "start"
	if req.Msg.Power == pb.PowerState_POWER_STATE_STOPPED {
		kind = "stop"
	}
	vm.DesiredPower, vm.Force = req.Msg.Power, req.Msg.Force
	vm.Generation++
	vm.Operation = operation(vm.Id, kind, vm.Generation)
	f.put(vm, false)
	answer := f.vms[vm.Id]
	vm.Status = &pb.VMStatus{Phase: finalPhase(vm), ObservedGeneration: vm.Generation}
	f.put(vm, false) // the operation is never said to be done: the phase must do
	return connect.NewResponse(&pb.SetVMPowerResponse{Vm: answer}), nil
}

func (f *fake) DeleteVM(_ context.Context, req *connect.Request[pb.DeleteVMRequest]) (*connect.Response[pb.DeleteVMResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	vm, err := f.find(req.Msg.Project, req.Msg.Vm)
	if err != nil {
		return nil, err
	}
	vm.Generation++
	vm.DeleteTime, vm.Operation = ago(0), operation(vm.Id, "delete", vm.Generation)
	vm.Status = &pb.VMStatus{Phase: pb.VMPhase_VM_PHASE_DELETING, ObservedGeneration: vm.Generation}
	f.put(vm, false)
	answer := f.vms[vm.Id]
	f.put(vm, true)
	return connect.NewResponse(&pb.DeleteVMResponse{Vm: answer}), nil
}

func (f *fake) WatchVMs(ctx context.Context, req *connect.Request[pb.WatchVMsRequest], stream *connect.ServerStream[pb.WatchVMsResponse]) error {
	if req.Msg.SinceRevision > 0 && f.take(&f.forget) {
		return connect.NewError(connect.CodeOutOfRange, fmt.Errorf("revision %d is forgotten", req.Msg.SinceRevision))
	}
	since, err := f.sendPresent(req.Msg, stream)
	if err != nil {
		return err
	}
	for {
		f.mu.Lock()
		news, changed := slices.Clone(f.log[since:]), f.changed
		f.mu.Unlock()
		for _, msg := range news {
			since = msg.Revision
			if !watched(req.Msg, msg.Vm) {
				continue
			}
			if err := stream.Send(msg); err != nil {
				return err
			}
			if f.take(&f.cutWatch) {
				return connect.NewError(connect.CodeUnavailable, fmt.Errorf("this controller shuts down"))
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func watched(req *pb.WatchVMsRequest, vm *pb.VM) bool {
	return vm.Spec.Project == req.Project && (req.Vm == "" || req.Vm == vm.Id || req.Vm == vm.Spec.Name)
}

func (f *fake) sendPresent(req *pb.WatchVMsRequest, stream *connect.ServerStream[pb.WatchVMsResponse]) (uint64, error) {
	if req.SinceRevision > 0 {
		return req.SinceRevision, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	revision := uint64(len(f.log))
	for _, vm := range f.vms {
		if watched(req, vm) {
			if err := stream.Send(&pb.WatchVMsResponse{Vm: vm, Revision: vm.Revision}); err != nil {
				return 0, err
			}
		}
	}
	return revision, stream.Send(&pb.WatchVMsResponse{Synced: true, Revision: revision})
}

// Console greets, and then answers every line with itself in capitals.
func (f *fake) Console(_ context.Context, stream *connect.BidiStream[pb.ConsoleRequest, pb.ConsoleResponse]) error {
	if f.take(&f.notRunning) {
		return connect.NewError(connect.CodeFailedPrecondition, fmt.Errorf("the machine does not run"))
	}
	if _, err := stream.Receive(); err != nil {
		return err
	}
	for _, part := range []string{"booting\nlog", "in: "} {
		if err := stream.Send(&pb.ConsoleResponse{Data: []byte(part)}); err != nil {
			return err
		}
	}
	for {
		msg, err := stream.Receive()
		if err != nil {
			return nil // the client has left
		}
		f.mu.Lock()
		f.sent = append(f.sent, msg.Data...)
		f.mu.Unlock()
		if strings.HasPrefix(string(msg.Data), "exit") {
			return nil
		}
		if err := stream.Send(&pb.ConsoleResponse{Data: []byte(strings.ToUpper(string(msg.Data)))}); err != nil {
			return err
		}
	}
}
