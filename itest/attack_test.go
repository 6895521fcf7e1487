package itest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/itest/env"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// The attacks of the reliability page that the surface of this release knows, each against a running cluster. Their
// numbers are those of the page. What is not here is tested by the package that owns it: 7's replays and 8's metadata in
// cluster/gossip, 12 in agent/hypervisor, 19 and the rest of 16-18 in vm/diskimage and agent/hypervisor.
func TestAttacks(t *testing.T) {
	for _, attack := range []struct {
		name string
		run  func(t *testing.T, s *scene)
	}{
		{"attack-01 no, expired, wrong-CA or revoked certificate", badCertificates},
		{"attack-02 agent certificate on the Raft port", agentOnRaftPort},
		{"attack-03 agent meddles with another node's things", agentMeddles},
		{"attack-04 token reused, expired or for another node", badTokens},
		{"attack-05 a thousand token guesses", tokenGuesses},
		{"attack-06 certificate that claims a live name", claimedNames},
		{"attack-07 plain and wrong-key gossip", strangeGossip},
		{"attack-08 oversized names and metadata", oversizedNames},
		{"attack-09 extra fields in a join", extraFields},
		{"attack-10 every role at every door", everyRoleAtEveryDoor},
		{"attack-11 names that are paths", pathNames},
		{"attack-16 qcow2 with a backing file", backingFile},
		{"attack-17 qcow2 with an external data file", externalData},
		{"attack-18 VMDK with a flat extent", flatExtent},
		{"attack-20 huge sizes", hugeSizes},
		{"attack-21 markup in names and metadata", markup},
		{"attack-23 emulators and paths set by users", emulatorPaths},
		{"attack-26 leading dashes and shell characters", shellCharacters},
		{"attack-27 huge messages, slow callers, hundreds of streams", floods},
		{"attack-28 deep and self-referring documents", deepDocuments},
		{"attack-30 secrets in logs, state and backups", leakedSecrets},
		{"attack-33 damaged log", damagedLog},
	} {
		t.Run(attack.name, func(t *testing.T) {
			t.Parallel()
			attack.run(t, newScene(t))
		})
	}
}

// patience is how long anything may take; what works takes a fraction.
const patience = 2 * time.Minute

// scene is a small cluster with one machine, to be attacked.
type scene struct {
	*env.Cluster
	t      *testing.T
	log    *env.Log
	admin  *env.Client
	victim *novacronv1.VM
}

func newScene(t *testing.T) *scene {
	t.Helper()
	log := &env.Log{}
	s := &scene{t: t, log: log, Cluster: env.New(t, env.Options{Controllers: 1, Agents: 2, Logger: log.Logger()})}
	for _, host := range s.Members(pki.RoleAgent) {
		host.Host.Fail("Guest", errors.New("no agent answers")) // what guests tell is asked for later, and changes the state
	}
	s.admin = s.as(s.AdminMaterial())
	answer, err := s.admin.VMs.CreateVM(t.Context(), connect.NewRequest(&novacronv1.CreateVMRequest{Spec: smallSpec("victim")}))
	require.NoError(t, err)
	s.victim = s.awaitPhase(answer.Msg.GetVm().GetId(), novacronv1.VMPhase_VM_PHASE_RUNNING)
	s.calm()
	return s
}

// calm waits until the last reports of what was done are in: the state has been the same for a while.
func (s *scene) calm() {
	s.t.Helper()
	const still = time.Second
	last, since := "", time.Now()
	require.Eventually(s.t, func() bool {
		status, err := s.Status(s.t.Context(), "controller-1", true)
		if err != nil || status.GetStateHash() != last {
			last, since = status.GetStateHash(), time.Now()
		}
		return time.Since(since) > still
	}, patience, still/20)
}

func smallSpec(name string) *novacronv1.VMSpec {
	return &novacronv1.VMSpec{Name: name, Cpus: 1, MemoryMb: 128, DiskGb: 1}
}

func (s *scene) as(who pki.Material) *env.Client {
	s.t.Helper()
	client, err := s.Client(who, "")
	require.NoError(s.t, err)
	return client
}

// material is the proof of a member.
func (s *scene) material(member string) pki.Material {
	s.t.Helper()
	material, err := s.Member(member).Material()
	require.NoError(s.t, err)
	return material
}

// enroll is the proof of a new client.
func (s *scene) enroll(name string, role pki.Role) pki.Material {
	s.t.Helper()
	joined, err := s.Enroll(s.t.Context(), name, role)
	require.NoError(s.t, err)
	return joined.Material
}

func (s *scene) token(request *novacronv1.CreateTokenRequest) string {
	s.t.Helper()
	token, err := s.Token(s.t.Context(), request)
	require.NoError(s.t, err)
	return token
}

func (s *scene) create(spec *novacronv1.VMSpec) (*novacronv1.VM, error) {
	answer, err := s.admin.VMs.CreateVM(s.t.Context(), connect.NewRequest(&novacronv1.CreateVMRequest{Spec: spec}))
	if err != nil {
		return nil, err
	}
	return answer.Msg.GetVm(), nil
}

func (s *scene) awaitPhase(id string, phase novacronv1.VMPhase) (found *novacronv1.VM) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	require.NoError(s.t, env.WaitFor(ctx, phase.String(), func(ctx context.Context) error {
		answer, err := s.admin.VMs.GetVM(ctx, connect.NewRequest(&novacronv1.GetVMRequest{Vm: id}))
		if err != nil {
			return err
		}
		found = answer.Msg.GetVm()
		if found.GetStatus().GetPhase() != phase || found.GetOperation().GetState() == novacronv1.OperationState_OPERATION_STATE_RUNNING {
			return fmt.Errorf("it is %s", found.GetStatus())
		}
		return nil
	}))
	return found
}

// nothingChanges runs an attack and proves that it left no trace: the replicated state, the files of all members and all
// that is on the hosts are as they were.
func (s *scene) nothingChanges(attack func()) {
	s.t.Helper()
	before := s.world()
	attack()
	require.Equal(s.t, before, s.world(), "the attack left something behind")
}

// world is everything that an attack could change.
func (s *scene) world() (all []string) {
	s.t.Helper()
	status, err := s.Status(s.t.Context(), "controller-1", true)
	require.NoError(s.t, err)
	all = append(all, "state "+status.GetStateHash())
	for _, role := range []pki.Role{pki.RoleController, pki.RoleAgent} {
		for _, member := range s.Members(role) {
			files, err := filepath.Glob(filepath.Join(member.Config.BlobDir(), "*"))
			require.NoError(s.t, err)
			all = append(all, files...)
			if member.Host != nil {
				all = append(all, member.Host.Driver.Leftovers()...)
			}
		}
	}
	slices.Sort(all)
	return all
}

// refused demands an error of the given code that says all of this.
func refused(t *testing.T, err error, code connect.Code, says ...string) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, code, connect.CodeOf(err), "%v", err)
	for _, part := range says {
		require.ErrorContains(t, err, part)
	}
}

func damagedLog(t *testing.T, s *scene) {
	member := s.Member("controller-1")
	require.NoError(t, member.Stop())
	path := filepath.Join(member.Config.RaftDir(), "raft.db")
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	for name, spoil := range map[string][]byte{
		"truncated": whole[:len(whole)/2], "empty": {}, "garbage": slices.Repeat([]byte("garbage!"), len(whole)/8),
	} {
		require.NoError(t, os.WriteFile(path, spoil, 0o600))
		err := member.Start(t.Context())
		if name == "empty" && err == nil { // bolt takes an empty file for a new one; the snapshots decide then
			require.NoError(t, member.Stop())
			continue
		}
		require.ErrorContains(t, err, "open the replicated log", name)
	}
	require.NoError(t, os.WriteFile(path, whole, 0o600))
	require.NoError(t, member.Start(t.Context()))
	s.awaitPhase(s.victim.GetId(), novacronv1.VMPhase_VM_PHASE_RUNNING)
}
