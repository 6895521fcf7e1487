package rpc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"

	"github.com/novacron/novacron/cluster/blob"
	"github.com/novacron/novacron/cluster/blob/peer"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	"github.com/novacron/novacron/proto/agent/v1/agentv1connect"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// fetchTimeout bounds the copy of an uploaded image from one controller to another.
const fetchTimeout = 10 * time.Minute

// otherControllers are the controllers besides this one.
func (s *Server) otherControllers() (others []*novacronv1.Member) {
	for id, member := range s.Store.View().Members() {
		if member.GetRole() == novacronv1.Role_ROLE_CONTROLLER && id != s.Self.NodeID {
			others = append(others, member)
		}
	}
	return others
}

// hold makes sure that the bytes are in this controller's store.
func (s *imageService) hold(ctx context.Context, hash string) error {
	if err := blob.CheckHash(hash); err != nil {
		return invalid(fmt.Errorf("sha256: %w", err))
	}
	if _, err := s.Blobs.Stat(hash); err == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	var failures []error
	for _, other := range s.otherControllers() {
		size, err := s.stat(ctx, other, hash)
		if err == nil {
			err = s.Blobs.Fetch(ctx, hash, size, peer.Sources(s.Peers, []string{other.GetApiAddress()}, ""))
		}
		if err == nil {
			return nil
		}
		failures = append(failures, fmt.Errorf("controller %s: %w", other.GetName(), err))
	}
	return connect.NewError(connect.CodeNotFound, errors.Join(append([]error{
		fmt.Errorf("sha256: no controller holds an upload with hash %s: upload it first", hash)}, failures...)...))
}

func (s *imageService) stat(ctx context.Context, at *novacronv1.Member, hash string) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	client := agentv1connect.NewBlobServiceClient(s.Peers, memberURL(at.GetApiAddress()))
	answer, err := client.StatBlob(ctx, connect.NewRequest(&agentv1.StatBlobRequest{Sha256: hash}))
	if err != nil {
		return 0, err
	}
	return int64(answer.Msg.GetSizeBytes()), nil
}

// spread has the other controllers copy an image from here, and returns once a majority of all hold it. The rest copy it
// in their own time.
func (s *imageService) spread(ctx context.Context, image *novacronv1.Image) error {
	others := s.otherControllers()
	self, _ := s.Store.View().Member(s.Self.NodeID)
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel() // those that are still at it go on by themselves, from the replicated record
	outcomes := make(chan error, len(others))
	for _, other := range others {
		go func() { outcomes <- s.pull(ctx, other, self.GetApiAddress(), image) }()
	}
	copies, majority := 1, (len(others)+1)/2+1
	var failures []error
	for range others {
		if copies >= majority {
			return nil
		}
		if err := <-outcomes; err != nil {
			failures = append(failures, err)
		} else {
			copies++
		}
	}
	if copies < majority {
		return connect.NewError(connect.CodeUnavailable, fmt.Errorf("image %q: only %d of %d controllers hold a copy, %d must: %w",
			image.GetName(), copies, len(others)+1, majority, errors.Join(failures...)))
	}
	return nil
}

func (s *imageService) pull(ctx context.Context, to *novacronv1.Member, from string, image *novacronv1.Image) error {
	client := agentv1connect.NewBlobServiceClient(s.Peers, memberURL(to.GetApiAddress()))
	_, err := client.PullBlob(ctx, connect.NewRequest(&agentv1.PullBlobRequest{Sha256: image.GetSha256(), SizeBytes: image.GetSizeBytes(), Source: from}))
	if err != nil {
		return fmt.Errorf("controller %s: %w", to.GetName(), err)
	}
	return nil
}
