package vm

// CloudInit is the NoCloud seed of a guest, on a small disk that it reads at its first start.
type CloudInit struct {
	// UserData is handed on as it is, such as text that begins with #cloud-config.
	UserData string `json:"userData,omitempty"`
	// MetaData are further keys of the meta-data; its instance-id is the machine's UUID.
	MetaData map[string]string `json:"metaData,omitempty"`
	// NetworkConfig is YAML of version 1 or 2; empty means DHCP.
	NetworkConfig string `json:"networkConfig,omitempty"`
	// SSHKeys may log in as the image's first user.
	SSHKeys []string `json:"sshKeys,omitempty"`
	// Hostname is the guest's; empty means one made of the machine's name.
	Hostname string `json:"hostname,omitempty"`
}

// DirectBoot names images that hold a kernel and an initial RAM disk.
type DirectBoot struct {
	// Kernel is the name of an image.
	Kernel string `json:"kernel"`
	// Initrd is the name of an image with the initial RAM disk.
	Initrd string `json:"initrd,omitempty"`
	// Cmdline is the kernel's command line, to maxCmdline bytes.
	Cmdline string `json:"cmdline,omitempty"`
}

// Placement narrows down the hosts that a machine may run on.
type Placement struct {
	// Host is the name or id of the only host allowed.
	Host string `json:"host,omitempty"`
	// NotHosts are the names or ids of hosts that are not allowed.
	NotHosts []string `json:"notHosts,omitempty"`
	// HostLabels are labels that the host must have.
	HostLabels map[string]string `json:"hostLabels,omitempty"`
	// Affinity are labels of machines to run beside.
	Affinity map[string]string `json:"affinity,omitempty"`
	// AntiAffinity are labels of machines not to run beside.
	AntiAffinity map[string]string `json:"antiAffinity,omitempty"`
}
