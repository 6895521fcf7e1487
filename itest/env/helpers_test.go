package env_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/itest/env"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// patience is how long anything may take; what works takes a fraction.
const patience = 2 * time.Minute

// waitFor fails the test when a condition does not come true.
func waitFor(t *testing.T, what string, condition func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, env.WaitFor(ctx, what, condition))
}

// admin is the administrator at a controller; "" means any that runs. Calls are made again while a leader is being elected:
// a busy machine loses one now and then. Who expects that nobody leads asks by the cluster's Admin.
func admin(t *testing.T, c *env.Cluster, controller string, options ...connect.ClientOption) *env.Client {
	t.Helper()
	client, err := c.Admin(controller, append([]connect.ClientOption{persistent()}, options...)...)
	require.NoError(t, err)
	return client
}

// repeated marks the calls that persist makes again by itself.
type repeated struct{}

// persistent makes calls again until there is an answer.
func persistent() connect.ClientOption {
	return connect.WithInterceptors(connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, request connect.AnyRequest) (answer connect.AnyResponse, err error) {
			if ctx.Value(repeated{}) != nil {
				return next(ctx, request)
			}
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			wait := env.WaitFor(ctx, "an answer", func(ctx context.Context) error {
				if answer, err = next(ctx, request); connect.CodeOf(err) == connect.CodeUnavailable {
					return err
				}
				return nil
			})
			return answer, cmp.Or(err, wait)
		}
	}))
}

func leader(t *testing.T, c *env.Cluster) *env.Member {
	t.Helper()
	var found *env.Member
	waitFor(t, "a leader", func(ctx context.Context) (err error) {
		found, err = c.Leader(ctx)
		return err
	})
	return found
}

// followers are the controllers that run and do not lead.
func followers(t *testing.T, c *env.Cluster) []*env.Member {
	t.Helper()
	first := leader(t, c)
	return slices.DeleteFunc(c.Members(pki.RoleController), func(m *env.Member) bool { return m == first || !m.Running() })
}

// small is a machine that fits anywhere.
func small(name string) *novacronv1.VMSpec {
	return &novacronv1.VMSpec{Name: name, Cpus: 1, MemoryMb: 128, DiskGb: 1}
}

// persist makes a call that may be made twice, again while a leader is being elected: a busy machine loses one now and then.
func persist(t *testing.T, call func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), repeated{}, true), patience)
	defer cancel()
	var last error
	wait := env.WaitFor(ctx, "an answer", func(ctx context.Context) error {
		if last = call(ctx); connect.CodeOf(last) == connect.CodeUnavailable {
			return last
		}
		return nil
	})
	require.NoError(t, cmp.Or(last, wait))
}

func create(t *testing.T, client *env.Client, spec *novacronv1.VMSpec) *novacronv1.VM {
	t.Helper()
	answer, err := client.VMs.CreateVM(t.Context(), connect.NewRequest(&novacronv1.CreateVMRequest{Spec: spec, RequestId: uuid.NewString()}))
	require.NoError(t, err)
	return answer.Msg.GetVm()
}

func power(t *testing.T, client *env.Client, name string, state novacronv1.PowerState) {
	t.Helper()
	persist(t, func(ctx context.Context) error {
		_, err := client.VMs.SetVMPower(ctx, connect.NewRequest(&novacronv1.SetVMPowerRequest{Vm: name, Power: state}))
		return err
	})
}

func remove(t *testing.T, client *env.Client, name string) {
	t.Helper()
	again := false
	persist(t, func(ctx context.Context) error {
		_, err := client.VMs.DeleteVM(ctx, connect.NewRequest(&novacronv1.DeleteVMRequest{Vm: name}))
		if again && connect.CodeOf(err) == connect.CodeNotFound {
			return nil // the call before did it
		}
		again = true
		return err
	})
}

// waitPhase waits until a machine's last operation has ended in the given phase.
func waitPhase(t *testing.T, client *env.Client, name string, phase novacronv1.VMPhase) *novacronv1.VM {
	t.Helper()
	var found *novacronv1.VM
	waitFor(t, name+" to be "+phase.String(), func(ctx context.Context) error {
		answer, err := client.VMs.GetVM(ctx, connect.NewRequest(&novacronv1.GetVMRequest{Vm: name}))
		if err != nil {
			return err
		}
		found = answer.Msg.GetVm()
		if found.GetStatus().GetPhase() != phase || found.GetOperation().GetState() == novacronv1.OperationState_OPERATION_STATE_RUNNING {
			return fmt.Errorf("%s: %s %q, operation %s", name, found.GetStatus().GetPhase(), found.GetStatus().GetMessage(), found.GetOperation())
		}
		return nil
	})
	return found
}

func waitGone(t *testing.T, client *env.Client, name string) {
	t.Helper()
	waitFor(t, name+" to be gone", func(ctx context.Context) error {
		answer, err := client.VMs.GetVM(ctx, connect.NewRequest(&novacronv1.GetVMRequest{Vm: name}))
		if connect.CodeOf(err) == connect.CodeNotFound {
			return nil
		}
		return errors.Join(err, fmt.Errorf("it is %s", answer.Msg.GetVm().GetStatus()))
	})
}

// leftovers is everything that is on the hosts.
func leftovers(c *env.Cluster) (all []string) {
	for _, member := range c.Members(pki.RoleAgent) {
		all = append(all, member.Host.Driver.Leftovers()...)
	}
	return all
}

func addImage(t *testing.T, client *env.Client, name string, content []byte) *novacronv1.Image {
	t.Helper()
	hash := upload(t, client, content)
	answer, err := client.Images.CreateImage(t.Context(), connect.NewRequest(&novacronv1.CreateImageRequest{Name: name, Sha256: hash}))
	require.NoError(t, err)
	return answer.Msg.GetImage()
}

func upload(t *testing.T, client *env.Client, content []byte) string {
	t.Helper()
	sum := sha256.Sum256(content)
	hash := hex.EncodeToString(sum[:])
	stream := client.Images.UploadImage(t.Context())
	for chunk := range slices.Chunk(content, 64<<10) {
		require.NoError(t, stream.Send(&novacronv1.UploadImageRequest{Sha256: hash, Data: chunk}))
	}
	answer, err := stream.CloseAndReceive()
	require.NoError(t, err)
	require.Equal(t, hash, answer.Msg.GetSha256())
	return hash
}

func dialTLS(t *testing.T, config *tls.Config, address string) (net.Conn, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
}

// says waits until a machine is worked on and its message holds a text.
func says(client *env.Client, name, text string) func(context.Context) error {
	return func(ctx context.Context) error {
		answer, err := client.VMs.GetVM(ctx, connect.NewRequest(&novacronv1.GetVMRequest{Vm: name}))
		if err != nil {
			return err
		}
		status := answer.Msg.GetVm().GetStatus()
		if status.GetStep() == "" && text == "" || !strings.Contains(status.GetMessage(), text) {
			return fmt.Errorf("%s: %s", name, status)
		}
		return nil
	}
}
