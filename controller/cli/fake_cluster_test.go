package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	"google.golang.org/protobuf/types/known/durationpb"
)

func (f *fake) ListHosts(context.Context, *connect.Request[pb.ListHostsRequest]) (*connect.Response[pb.ListHostsResponse], error) {
	return connect.NewResponse(&pb.ListHostsResponse{Hosts: hosts()}), nil
}

func (f *fake) GetHost(_ context.Context, req *connect.Request[pb.GetHostRequest]) (*connect.Response[pb.GetHostResponse], error) {
	for _, host := range hosts() {
		if host.Name == req.Msg.Host || host.Id == req.Msg.Host {
			return connect.NewResponse(&pb.GetHostResponse{Host: host}), nil
		}
	}
	return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("host %q does not exist", req.Msg.Host))
}

func hosts() []*pb.Host {
	return []*pb.Host{
		{Id: "id-kvm-1", Name: "kvm-1", State: pb.HostState_HOST_STATE_UP, Vms: 3, LastChangeTime: ago(26 * time.Hour),
			Allocated: &pb.Resources{Cpus: 6, MemoryMb: 6144, DiskGb: 60},
			Info: &pb.HostInfo{ApiAddress: "10.0.0.11:7750", Version: "v0.1.0", Arch: "x86_64", Driver: "libvirt", Accelerator: "kvm",
				HypervisorVersion: "7.2.0", LibvirtVersion: "9.0.0", Labels: map[string]string{"disk": "ssd", "rack": "a1"},
				Capacity: &pb.Resources{Cpus: 64, MemoryMb: 131072, DiskGb: 900}, Pools: []string{"default", "fast"}, Networks: []string{"default"}}},
		{Id: "id-kvm-2", Name: "kvm-2", State: pb.HostState_HOST_STATE_DOWN, LastChangeTime: ago(5 * time.Minute),
			Info: &pb.HostInfo{ApiAddress: "10.0.0.12:7750", Version: "v0.1.0\x1b[31m", Arch: "x86_64", Driver: "libvirt", Accelerator: "qemu",
				Capacity: &pb.Resources{Cpus: 16, MemoryMb: 15000, DiskGb: 400}}},
	}
}

func (f *fake) ListImages(context.Context, *connect.Request[pb.ListImagesRequest]) (*connect.Response[pb.ListImagesResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	answer := &pb.ListImagesResponse{}
	for _, image := range f.images {
		answer.Images = append(answer.Images, image)
	}
	slices.SortFunc(answer.Images, func(a, b *pb.Image) int { return strings.Compare(a.Name, b.Name) })
	return connect.NewResponse(answer), nil
}

func (f *fake) GetImage(_ context.Context, req *connect.Request[pb.GetImageRequest]) (*connect.Response[pb.GetImageResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if image := f.images[req.Msg.Name]; image != nil {
		return connect.NewResponse(&pb.GetImageResponse{Image: image}), nil
	}
	return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("image %q does not exist", req.Msg.Name))
}

func (f *fake) UploadImage(_ context.Context, stream *connect.ClientStream[pb.UploadImageRequest]) (*connect.Response[pb.UploadImageResponse], error) {
	sum, size, want := sha256.New(), uint64(0), ""
	for stream.Receive() {
		if want == "" {
			want = stream.Msg().Sha256
		}
		sum.Write(stream.Msg().Data)
		size += uint64(len(stream.Msg().Data))
		if f.take(&f.unavailable) {
			return nil, connect.NewError(connect.CodeUnavailable, fmt.Errorf("this controller shuts down"))
		}
	}
	got := hex.EncodeToString(sum.Sum(nil))
	if want != "" && want != got {
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("the bytes have sha256 %s, not %s", got, want))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.blobs[got] = size
	return connect.NewResponse(&pb.UploadImageResponse{Sha256: got, SizeBytes: size}), stream.Err()
}

func (f *fake) CreateImage(_ context.Context, req *connect.Request[pb.CreateImageRequest]) (*connect.Response[pb.CreateImageResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.images[req.Msg.Name] != nil {
		return nil, connect.NewError(connect.CodeAlreadyExists, fmt.Errorf("image %q exists with other content: choose another name", req.Msg.Name))
	}
	size, stored := f.blobs[req.Msg.Sha256]
	if !stored {
		return nil, connect.NewError(connect.CodeFailedPrecondition, fmt.Errorf("no bytes with sha256 %s", req.Msg.Sha256))
	}
	image := &pb.Image{Name: req.Msg.Name, Sha256: req.Msg.Sha256, SizeBytes: size, Format: firstOf(req.Msg.Format, "raw"), VirtualSizeBytes: size, CreateTime: ago(0)}
	f.images[image.Name] = image
	return connect.NewResponse(&pb.CreateImageResponse{Image: image}), nil
}

func (f *fake) DeleteImage(_ context.Context, req *connect.Request[pb.DeleteImageRequest]) (*connect.Response[pb.DeleteImageResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.images[req.Msg.Name] == nil {
		return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("image %q does not exist", req.Msg.Name))
	}
	delete(f.images, req.Msg.Name)
	return connect.NewResponse(&pb.DeleteImageResponse{}), nil
}

func (f *fake) members() []*pb.MemberStatus {
	member := func(name string, role pb.Role, address, gossip, raft string, voter bool) *pb.MemberStatus {
		return &pb.MemberStatus{Gossip: gossip, Raft: raft, Member: &pb.Member{Id: "id-" + name, Name: name, Role: role,
			ApiAddress: address, Voter: voter, JoinTime: ago(200 * time.Hour)}}
	}
	return []*pb.MemberStatus{
		member("ctl-1", pb.Role_ROLE_CONTROLLER, f.address, "alive", "leader", true),
		member("ctl-2", pb.Role_ROLE_CONTROLLER, "10.0.0.2:7750", "suspect", "voter", true),
		member("kvm-1", pb.Role_ROLE_AGENT, "10.0.0.11:7750", "alive", "none", false),
	}
}

func (f *fake) ListMembers(context.Context, *connect.Request[pb.ListMembersRequest]) (*connect.Response[pb.ListMembersResponse], error) {
	return connect.NewResponse(&pb.ListMembersResponse{Members: f.members()}), nil
}

func (f *fake) GetHealth(context.Context, *connect.Request[pb.GetHealthRequest]) (*connect.Response[pb.GetHealthResponse], error) {
	members := f.members()
	return connect.NewResponse(&pb.GetHealthResponse{FailureTolerance: 0, HostsUp: 1, Hosts: 2, Problems: []string{"controller ctl-2 does not answer"},
		Controllers: []*pb.ControllerHealth{
			{Member: members[0].Member, Healthy: true, Status: &pb.ControllerStatus{Name: "ctl-1", Version: "v0.1.0", State: "leader", Term: 4,
				CommitIndex: 120, AppliedIndex: 120, LastContact: durationpb.New(0), CertificateExpiry: ago(-20 * time.Hour)}},
			{Member: members[1].Member, Problem: "dial tcp 10.0.0.2:7750: connection refused"},
		}}), nil
}

func (f *fake) CreateToken(_ context.Context, req *connect.Request[pb.CreateTokenRequest]) (*connect.Response[pb.CreateTokenResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ttl := 15 * time.Minute
	if req.Msg.Ttl != nil {
		ttl = req.Msg.Ttl.AsDuration()
	}
	token := &pb.Token{Id: fmt.Sprintf("tok%d", len(f.tokens)+1), Role: req.Msg.Role, NodeName: req.Msg.NodeName, ExpireTime: ago(-ttl)}
	f.tokens[token.Id] = token
	return connect.NewResponse(&pb.CreateTokenResponse{Secret: "nct1.secret", Token: token}), nil
}

func (f *fake) ListTokens(context.Context, *connect.Request[pb.ListTokensRequest]) (*connect.Response[pb.ListTokensResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	answer := &pb.ListTokensResponse{}
	for _, token := range f.tokens {
		answer.Tokens = append(answer.Tokens, token)
	}
	slices.SortFunc(answer.Tokens, func(a, b *pb.Token) int { return strings.Compare(a.Id, b.Id) })
	return connect.NewResponse(answer), nil
}

func (f *fake) RevokeToken(_ context.Context, req *connect.Request[pb.RevokeTokenRequest]) (*connect.Response[pb.RevokeTokenResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.tokens[req.Msg.Id] == nil {
		return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("token %q does not exist", req.Msg.Id))
	}
	delete(f.tokens, req.Msg.Id)
	return connect.NewResponse(&pb.RevokeTokenResponse{}), nil
}

func (f *fake) RemoveMember(_ context.Context, req *connect.Request[pb.RemoveMemberRequest]) (*connect.Response[pb.RemoveMemberResponse], error) {
	if req.Msg.Member == "kvm-1" && !req.Msg.Force {
		return nil, connect.NewError(connect.CodeFailedPrecondition, fmt.Errorf("host kvm-1 owns 3 machines: move or delete them, or use force"))
	}
	return connect.NewResponse(&pb.RemoveMemberResponse{}), nil
}

func (f *fake) SetMemberVoting(_ context.Context, req *connect.Request[pb.SetMemberVotingRequest]) (*connect.Response[pb.SetMemberVotingResponse], error) {
	return connect.NewResponse(&pb.SetMemberVotingResponse{Member: &pb.Member{Name: req.Msg.Member, Voter: req.Msg.Voter}}), nil
}

func (f *fake) TransferLeadership(_ context.Context, req *connect.Request[pb.TransferLeadershipRequest]) (*connect.Response[pb.TransferLeadershipResponse], error) {
	return connect.NewResponse(&pb.TransferLeadershipResponse{LeaderId: "id-ctl-2", LeaderName: firstOf(req.Msg.Member, "ctl-2")}), nil
}

func (f *fake) Backup(_ context.Context, _ *connect.Request[pb.BackupRequest], stream *connect.ServerStream[pb.BackupResponse]) error {
	for _, part := range []string{"state ", "of the ", "cluster\n"} {
		if err := stream.Send(&pb.BackupResponse{Data: []byte(part)}); err != nil {
			return err
		}
	}
	return nil
}

func (f *fake) Restore(_ context.Context, stream *connect.ClientStream[pb.RestoreRequest]) (*connect.Response[pb.RestoreResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for stream.Receive() {
		f.restored = append(f.restored, stream.Msg().Data...)
	}
	return connect.NewResponse(&pb.RestoreResponse{Revision: uint64(len(f.restored))}), stream.Err()
}
