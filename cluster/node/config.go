// Package node prepares and describes one member of a cluster: its folder, its addresses, its first keys and its connections to other members.
package node

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"sigs.k8s.io/yaml"

	"github.com/novacron/novacron/cluster/pki"
)

// Default ports. Gossip uses TCP and UDP.
const (
	PortAPI    = "7750"
	PortRaft   = "7751"
	PortGossip = "7752"
)

// FileConfig is the name of the settings in a member's data directory.
const FileConfig = "node.yaml"

var (
	// ErrPrepared means that the data directory belongs to a member already.
	ErrPrepared = errors.New("already prepared")
	// ErrNotPrepared means that the data directory holds no member.
	ErrNotPrepared = errors.New("not prepared")
)

// Config is what one member knows of itself and of how to find the others. It lives in node.yaml; people may edit it
// while the member is stopped.
type Config struct {
	// DataDir is where everything is kept; it is not part of the file.
	DataDir string `json:"-"`

	ClusterID string   `json:"clusterID"`
	NodeID    string   `json:"nodeID"`
	Name      string   `json:"name"`
	Role      pki.Role `json:"role"`

	// API, Raft (controllers) and Gossip are the addresses, host:port, that the others reach this member at.
	API    string `json:"api"`
	Raft   string `json:"raft,omitempty"`
	Gossip string `json:"gossip"`

	// Bootstrap marks the first controller: it starts the cluster instead of waiting to be added.
	Bootstrap bool `json:"bootstrap,omitempty"`
	// Controllers are API addresses and Seeds gossip addresses that were known when the member joined.
	Controllers []string `json:"controllers,omitempty"`
	Seeds       []string `json:"seeds,omitempty"`

	Agent AgentConfig `json:"agent,omitzero"`
}

// AgentConfig is what only agents need.
type AgentConfig struct {
	// Labels of the host, for placement.
	Labels map[string]string `json:"labels,omitempty"`
	// Driver is "libvirt" or "fake".
	Driver string `json:"driver,omitempty"`
	// LibvirtURI is the libvirt connection; default qemu:///system.
	LibvirtURI string `json:"libvirtURI,omitempty"`
	// CPUOvercommit is how many vCPUs may be promised per logical CPU; default 4.
	CPUOvercommit float64 `json:"cpuOvercommit,omitempty"`
	// Metrics is where the metrics of the host are kept: "disk", the default, or "memory".
	Metrics string `json:"metrics,omitempty"`
	// MetricNames is how the metrics of the host are called: "canonical", the default, or "node_exporter".
	MetricNames string `json:"metricNames,omitempty"`
	// UndeclaredMetrics takes metrics by remote write and pushes that nobody has defined.
	UndeclaredMetrics bool `json:"undeclaredMetrics,omitempty"`
	// ReservedMemoryMB is kept for the host itself; default 512.
	ReservedMemoryMB int `json:"reservedMemoryMB,omitempty"`
}

// Where an agent keeps the metrics of its host.
const (
	MetricsDisk   = "disk"
	MetricsMemory = "memory"
)

// How the metrics of hosts are called: by our names, or by those of Prometheus's node_exporter where it has one.
const (
	NamesCanonical    = "canonical"
	NamesNodeExporter = "node_exporter"
)

// PKIDir, RaftDir, BlobDir and JournalDir are the parts of a data directory.
func (c Config) PKIDir() string { return filepath.Join(c.DataDir, "pki") }

// RaftDir holds the replicated log and its snapshots.
func (c Config) RaftDir() string { return filepath.Join(c.DataDir, "raft") }

// BlobDir holds content-addressed files.
func (c Config) BlobDir() string { return filepath.Join(c.DataDir, "blobs") }

// JournalDir holds the agent's half-done work.
func (c Config) JournalDir() string { return filepath.Join(c.DataDir, "journal") }

// Load reads the settings of a prepared data directory. An unknown key is an error.
func Load(dataDir string) (Config, error) {
	path := filepath.Join(dataDir, FileConfig)
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return Config{}, fmt.Errorf("%w: no %s in %s: run «novacron cluster init» or «novacron cluster join» first", ErrNotPrepared, FileConfig, dataDir)
	}
	if err != nil {
		return Config{}, fmt.Errorf("read the member's settings: %w", err)
	}
	c := Config{}
	if err := yaml.UnmarshalStrict(text, &c); err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	c.DataDir = dataDir
	if c.Role == pki.RoleAgent && len(c.Controllers) == 0 {
		return Config{}, fmt.Errorf("%s: controllers: an agent needs the API address of at least one", path)
	}
	if err := c.Validate(); err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// Validate reports the first setting that cannot work.
func (c Config) Validate() error {
	if err := pki.ValidateNodeName(c.Name); err != nil {
		return fmt.Errorf("name: %w", err)
	}
	if c.Role == pki.RoleController {
		if err := CheckAddress(c.Raft); err != nil {
			return fmt.Errorf("raft: %w", err)
		}
	}
	if err := CheckAddress(c.API); err != nil {
		return fmt.Errorf("api: %w", err)
	}
	if err := CheckAddress(c.Gossip); err != nil {
		return fmt.Errorf("gossip: %w", err)
	}
	if m := c.Agent.Metrics; m != "" && m != MetricsDisk && m != MetricsMemory {
		return fmt.Errorf("agent.metrics %q: must be %s or %s", m, MetricsDisk, MetricsMemory)
	}
	if n := c.Agent.MetricNames; n != "" && n != NamesCanonical && n != NamesNodeExporter {
		return fmt.Errorf("agent.metricNames %q: must be %s or %s", n, NamesCanonical, NamesNodeExporter)
	}
	return nil
}

// CheckAddress wants an address, host:port, that others can dial.
func CheckAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if number, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || host == "" || number == 0 {
		return fmt.Errorf("address %q is not of the form host:port, with a port from 1 to 65535", address)
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		return fmt.Errorf("address %q: the other members cannot dial it: give an address of this machine", address)
	}
	return nil
}

// create writes the settings of a new member; keys first, so that a folder with settings always has keys.
func create(c Config, material pki.Material) error {
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	if err := pki.SaveMaterial(c.PKIDir(), material); err != nil {
		return err
	}
	return c.Save()
}

// Save writes the settings, durably and at once.
func (c Config) Save() error {
	text, err := yaml.Marshal(c)
	if err != nil {
		return fmt.Errorf("encode %s: %w", FileConfig, err)
	}
	return writeFile(filepath.Join(c.DataDir, FileConfig), text)
}

// writeFile replaces a file durably and at once.
func writeFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(f.Name()) // does nothing once renamed
	_, err = f.ReadFrom(bytes.NewReader(content))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// vacant refuses a data directory that belongs to a member. Clients have none.
func vacant(dataDir string) error {
	if dataDir == "" {
		return nil
	}
	if _, err := os.Stat(filepath.Join(dataDir, FileConfig)); err == nil {
		return fmt.Errorf("%w: %s belongs to a member of a cluster: choose another folder, or remove this one for good", ErrPrepared, dataDir)
	}
	return nil
}
