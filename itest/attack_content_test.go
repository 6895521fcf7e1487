package itest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/itest/env"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/vm"
)

func tokenRequest(role pki.Role) *novacronv1.CreateTokenRequest {
	return &novacronv1.CreateTokenRequest{Role: node.RoleToProto(role)}
}

// pathLike are names that would mean a file somewhere else.
func pathLike() []string {
	return []string{"../escape", "..", ".", "%2e%2e", "a\x00b", "/etc/passwd", "a/b", strings.Repeat("a", 300), "a b", "ä", "x\n"}
}

// specWith is a small machine with one thing changed.
func specWith(change func(*novacronv1.VMSpec)) *novacronv1.VMSpec {
	spec := smallSpec("crafted")
	change(spec)
	return spec
}

func pathNames(t *testing.T, s *scene) {
	s.nothingChanges(func() {
		for _, name := range pathLike() {
			for field, change := range map[string]func(*novacronv1.VMSpec){
				"name":            func(v *novacronv1.VMSpec) { v.Name = name },
				"project":         func(v *novacronv1.VMSpec) { v.Project = name },
				"pool":            func(v *novacronv1.VMSpec) { v.Pool = name },
				"image":           func(v *novacronv1.VMSpec) { v.Image = name },
				"uuid":            func(v *novacronv1.VMSpec) { v.Uuid = name },
				"volumes[0].name": func(v *novacronv1.VMSpec) { v.Volumes = []*novacronv1.VolumeSpec{{Name: name, SizeGb: 1}} },
				"volumes[0].pool": func(v *novacronv1.VMSpec) { v.Volumes = []*novacronv1.VolumeSpec{{Name: "d", Pool: name, SizeGb: 1}} },
				"boot.kernel":     func(v *novacronv1.VMSpec) { v.Boot = &novacronv1.DirectBoot{Kernel: name} },
				"networkInterfaces[0].bridge": func(v *novacronv1.VMSpec) {
					v.NetworkInterfaces = []*novacronv1.NetworkInterfaceSpec{{Bridge: name}}
				},
			} {
				_, err := s.create(specWith(change))
				if field == "image" && name == strings.Repeat("a", 300) || field == "boot.kernel" {
					require.Contains(t, []connect.Code{connect.CodeInvalidArgument, connect.CodeNotFound}, connect.CodeOf(err), "%s: %v", field, err)
					continue
				}
				refused(t, err, connect.CodeInvalidArgument, strings.Split(field, "[")[0])
			}
			_, err := s.admin.Images.CreateImage(t.Context(), connect.NewRequest(&novacronv1.CreateImageRequest{Name: name, Sha256: strings.Repeat("0", 64)}))
			refused(t, err, connect.CodeInvalidArgument, "name")
			_, err = s.admin.Images.CreateImage(t.Context(), connect.NewRequest(&novacronv1.CreateImageRequest{Name: "fine", Sha256: name}))
			refused(t, err, connect.CodeInvalidArgument, "sha256")
			_, err = s.admin.Cluster.CreateToken(t.Context(), connect.NewRequest(&novacronv1.CreateTokenRequest{Role: novacronv1.Role_ROLE_AGENT, NodeName: name}))
			refused(t, err, connect.CodeInvalidArgument)
			_, err = s.admin.VMs.GetVM(t.Context(), connect.NewRequest(&novacronv1.GetVMRequest{Vm: name}))
			refused(t, err, connect.CodeNotFound)
			require.Error(t, s.upload(name, []byte("data")), "an upload under the hash %q", name)
		}
	})
}

// upload gives bytes to the cluster under a hash; "" means their own.
func (s *scene) upload(hash string, content []byte) error {
	if sum := sha256.Sum256(content); hash == "" {
		hash = hex.EncodeToString(sum[:])
	}
	stream := s.admin.Images.UploadImage(s.t.Context())
	_ = stream.Send(&novacronv1.UploadImageRequest{Sha256: hash, Data: content}) // CloseAndReceive says why
	_, err := stream.CloseAndReceive()
	return err
}

// qcow2 is the header of a sound image of version 3, spoilt.
func qcow2(spoil func(header []byte)) []byte {
	const cluster = 1 << 16
	image := make([]byte, 4*cluster)
	be := binary.BigEndian
	copy(image, "QFI\xfb")
	be.PutUint32(image[4:], 3)
	be.PutUint32(image[20:], 16)
	be.PutUint64(image[24:], 1<<30)
	be.PutUint32(image[36:], 2)
	be.PutUint64(image[40:], 2*cluster)
	be.PutUint64(image[48:], cluster)
	be.PutUint32(image[56:], 1)
	be.PutUint32(image[96:], 4)
	be.PutUint32(image[100:], 112)
	spoil(image)
	return image
}

// refusesImage demands that neither an upload nor a name makes an image of it.
func (s *scene) refusesImage(content []byte, says string) {
	s.t.Helper()
	s.nothingChanges(func() {
		refused(s.t, s.upload("", content), connect.CodeInvalidArgument, says)
		sum := sha256.Sum256(content)
		for _, format := range []string{"", "raw", "qcow2"} {
			_, err := s.admin.Images.CreateImage(s.t.Context(), connect.NewRequest(&novacronv1.CreateImageRequest{
				Name: "trojan", Sha256: hex.EncodeToString(sum[:]), Format: format,
			}))
			refused(s.t, err, connect.CodeNotFound, "upload it first")
		}
	})
}

func backingFile(t *testing.T, s *scene) {
	require.NoError(t, s.upload("", qcow2(func([]byte) {})), "the proof that a sound one is taken")
	s.refusesImage(qcow2(func(h []byte) {
		binary.BigEndian.PutUint64(h[8:], 200)
		binary.BigEndian.PutUint32(h[16:], 11)
		copy(h[200:], "/etc/passwd")
	}), "backing file")
}

func externalData(_ *testing.T, s *scene) {
	s.refusesImage(qcow2(func(h []byte) { binary.BigEndian.PutUint64(h[72:], 1<<2) }), "data in another file")
}

func flatExtent(_ *testing.T, s *scene) {
	s.refusesImage([]byte("# Disk DescriptorFile\nversion=1\ncreateType=\"monolithicFlat\"\nRW 2048 FLAT \"/etc/shadow\" 0\n"), "neither qcow2 nor raw")
}

func hugeSizes(t *testing.T, s *scene) {
	s.refusesImage(qcow2(func(h []byte) { binary.BigEndian.PutUint64(h[24:], 1<<60) }), "too large")
	s.nothingChanges(func() {
		const most = 1<<32 - 1
		for field, change := range map[string]func(*novacronv1.VMSpec){
			"cpus":              func(v *novacronv1.VMSpec) { v.Cpus = most },
			"memoryMB":          func(v *novacronv1.VMSpec) { v.MemoryMb = most },
			"diskGB":            func(v *novacronv1.VMSpec) { v.DiskGb = most },
			"volumes[0].sizeGB": func(v *novacronv1.VMSpec) { v.Volumes = []*novacronv1.VolumeSpec{{Name: "d", SizeGb: most}} },
		} {
			_, err := s.create(specWith(change))
			refused(t, err, connect.CodeInvalidArgument, field)
		}
	})
}

func markup(t *testing.T, s *scene) {
	const evil = `'/><qemu:commandline><qemu:arg value="-runas"/></qemu:commandline><x y='&quot;]]>`
	s.nothingChanges(func() {
		for _, change := range []func(*novacronv1.VMSpec){
			func(v *novacronv1.VMSpec) { v.Name = evil },
			func(v *novacronv1.VMSpec) { v.Labels = map[string]string{evil: "x"} },
			func(v *novacronv1.VMSpec) { v.NetworkInterfaces = []*novacronv1.NetworkInterfaceSpec{{Network: evil}} },
			func(v *novacronv1.VMSpec) { v.OsVersion = "x\x01" },
		} {
			_, err := s.create(specWith(change))
			refused(t, err, connect.CodeInvalidArgument)
		}
	})
	created, err := s.create(specWith(func(v *novacronv1.VMSpec) { v.Annotations = map[string]string{"note": evil} }))
	require.NoError(t, err)
	read := s.awaitPhase(created.GetId(), novacronv1.VMPhase_VM_PHASE_RUNNING)
	require.Equal(t, evil, read.GetSpec().GetAnnotations()["note"], "round trip")
	domain, err := s.Member(read.GetHostName()).Host.Driver.Domain(t.Context(), created.GetId())
	require.NoError(t, err)
	text := domain.XML
	for decoder := xml.NewDecoder(strings.NewReader(text)); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err, text)
		if element, ok := token.(xml.StartElement); ok {
			require.NotEqual(t, "commandline", element.Name.Local, text)
		}
	}
}

func emulatorPaths(t *testing.T, s *scene) {
	s.nothingChanges(func() {
		for field, change := range map[string]func(*novacronv1.VMSpec){
			"machine":  func(v *novacronv1.VMSpec) { v.Machine = "/bin/sh" },
			"firmware": func(v *novacronv1.VMSpec) { v.Firmware = "/etc/passwd" },
			"arch":     func(v *novacronv1.VMSpec) { v.Arch = "../../bin/sh" },
			"osType":   func(v *novacronv1.VMSpec) { v.OsType = "/bin/sh" },
			"volumes[0].format": func(v *novacronv1.VMSpec) {
				v.Volumes = []*novacronv1.VolumeSpec{{Name: "d", SizeGb: 1, Format: "vmdk"}}
			},
			"volumes[0].bus": func(v *novacronv1.VMSpec) {
				v.Volumes = []*novacronv1.VolumeSpec{{Name: "d", SizeGb: 1, Bus: "/dev/sda"}}
			},
			"networkInterfaces[0].model": func(v *novacronv1.VMSpec) { v.NetworkInterfaces = []*novacronv1.NetworkInterfaceSpec{{Model: "/x"}} },
		} {
			_, err := s.create(specWith(change))
			refused(t, err, connect.CodeInvalidArgument, field)
		}
		for _, key := range []string{"emulator: /bin/sh", "xml: <x/>", "boot: {kernel: k, loader: /bin/sh}", "volumes: [{name: d, path: /dev/sda}]"} {
			_, err := vm.ParseYAML([]byte("name: x\ncpus: 1\nmemoryMB: 128\n" + key + "\n"))
			require.ErrorContains(t, err, "unknown", key)
		}
	})
}

func shellCharacters(t *testing.T, s *scene) {
	s.nothingChanges(func() {
		for _, name := range []string{"-rf", "--help", "a;id", "$(id)", "`id`", "a|b", "a&b", "*", "a'b", `a"b`, "a\\b", "-"} {
			for field, change := range map[string]func(*novacronv1.VMSpec){
				"name":    func(v *novacronv1.VMSpec) { v.Name = name },
				"project": func(v *novacronv1.VMSpec) { v.Project = name },
				"pool":    func(v *novacronv1.VMSpec) { v.Pool = name },
				"image":   func(v *novacronv1.VMSpec) { v.Image = name },
				"networkInterfaces[0].bridge": func(v *novacronv1.VMSpec) {
					v.NetworkInterfaces = []*novacronv1.NetworkInterfaceSpec{{Bridge: name}}
				},
			} {
				_, err := s.create(specWith(change))
				refused(t, err, connect.CodeInvalidArgument, field)
			}
			_, err := s.admin.Images.CreateImage(t.Context(), connect.NewRequest(&novacronv1.CreateImageRequest{Name: name, Sha256: strings.Repeat("0", 64)}))
			refused(t, err, connect.CodeInvalidArgument, "name")
		}
	})
}

func floods(t *testing.T, s *scene) {
	s.nothingChanges(func() {
		huge := specWith(func(v *novacronv1.VMSpec) {
			v.Annotations = map[string]string{"note": strings.Repeat("x", node.MaxMessageBytes)}
		})
		_, err := s.create(huge)
		refused(t, err, connect.CodeResourceExhausted, "4194304")
		refused(t, s.upload("", make([]byte, node.MaxMessageBytes+1)), connect.CodeResourceExhausted, "4194304")

		headers := make(http.Header)
		headers.Set("Content-Type", "application/json")
		headers.Set("X-Padding", strings.Repeat("x", 1<<20))
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, node.URL(s.admin.Address)+"/novacron.v1.VMService/ListVMs", strings.NewReader("{}"))
		require.NoError(t, err)
		request.Header = headers
		response, err := s.admin.HTTP.Do(request)
		if err == nil {
			require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, response.StatusCode)
			require.NoError(t, response.Body.Close())
		}

		flood := s.as(s.AdminMaterial())
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for range 500 {
			go func() { // a connection has room for half of them
				stream, err := flood.VMs.WatchVMs(ctx, connect.NewRequest(&novacronv1.WatchVMsRequest{}))
				if err == nil {
					for stream.Receive() {
					}
				}
			}()
		}
		quick, stop := context.WithTimeout(t.Context(), patience)
		defer stop()
		other := s.as(s.AdminMaterial())
		require.NoError(t, env.WaitFor(quick, "an answer", func(ctx context.Context) error { // on a busy machine a handshake may take too long
			_, err := other.VMs.ListVMs(ctx, connect.NewRequest(&novacronv1.ListVMsRequest{}))
			return err
		}), "others are served")
	})
}

func deepDocuments(t *testing.T, s *scene) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'i'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.Repeat(fmt.Sprintf("*%c,", c-1), 8)+fmt.Sprintf("*%c", c-1))
	}
	s.nothingChanges(func() {
		for name, text := range map[string]string{
			"deep": "labels: " + strings.Repeat("{a: ", 10000), "lists": strings.Repeat("[", 100000), "anchors": bomb, "long": strings.Repeat("x", 8<<20),
		} {
			began := time.Now()
			_, err := vm.ParseYAML([]byte(text))
			require.Error(t, err, name)
			require.Less(t, time.Since(began), time.Second, name) // a tenth is the aim; the race detector and a full machine take their share
			require.Less(t, len(err.Error()), 4096, name)
		}
		body := `{"spec":` + strings.Repeat(`{"labels":`, 20000)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, node.URL(s.admin.Address)+"/novacron.v1.VMService/CreateVM", strings.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/json")
		response, err := s.admin.HTTP.Do(request)
		require.NoError(t, err)
		require.Equal(t, http.StatusBadRequest, response.StatusCode)
		require.NoError(t, response.Body.Close())
	})
}

func leakedSecrets(t *testing.T, s *scene) {
	secrets := map[string]string{}
	for _, role := range []pki.Role{pki.RoleViewer, pki.RoleAgent} {
		token := s.token(tokenRequest(role))
		secrets["secret of a token for "+string(role)] = strings.Split(token, ".")[2]
		_, err := node.Join(t.Context(), s.JoinOptions("new-"+string(role), token))
		require.NoError(t, err)
	}
	for name, key := range map[string][]byte{
		"CA": s.material("controller-1").CAKeyPEM, "controller": s.material("controller-1").KeyPEM, "agent": s.material("host-1").KeyPEM,
	} {
		block, _ := pem.Decode(key)
		require.NotNil(t, block, name)
		secrets["key of the "+name] = string(block.Bytes)
		secrets["key of the "+name+", base 64"] = base64.StdEncoding.EncodeToString(block.Bytes)[:40]
	}
	gossipKey := s.material("host-1").GossipKey
	secrets["gossip key"], secrets["gossip key, hex"] = string(gossipKey), hex.EncodeToString(gossipKey)
	secrets["gossip key, base 64"] = base64.StdEncoding.EncodeToString(gossipKey)

	stream, err := s.admin.Cluster.Backup(t.Context(), connect.NewRequest(&novacronv1.BackupRequest{}))
	require.NoError(t, err)
	var backup bytes.Buffer
	for stream.Receive() {
		backup.Write(stream.Msg().GetData())
	}
	require.NoError(t, stream.Err())
	require.Contains(t, backup.String(), "victim", "the proof that the search finds what is there")
	for name, secret := range secrets {
		require.NotContains(t, backup.String(), secret, "%s in a backup", name)
		require.NotContains(t, s.log.String(), secret, "%s in a log", name)
	}
}
