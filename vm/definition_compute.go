package vm

// CPU shapes the virtual processors. The zero value is as many sockets as there are CPUs, of the host's own kind.
type CPU struct {
	// Mode is "host-passthrough", "host-model", "maximum" or "custom"; empty means the best that the host's accelerator offers.
	Mode string `json:"mode,omitempty"`
	// Model is a processor in libvirt's words, such as Skylake-Server; it needs mode custom.
	Model string `json:"model,omitempty"`

	// Sockets are such that sockets × dies × cores × threads are the CPUs; what is left out is filled in, cores first.
	Sockets int `json:"sockets,omitempty"`
	// Dies are those in one socket.
	Dies int `json:"dies,omitempty"`
	// Cores are those in one die.
	Cores int `json:"cores,omitempty"`
	// Threads are those in one core.
	Threads int `json:"threads,omitempty"`

	// Max is how many CPUs the machine can be given while it runs; 0 means no more than it starts with.
	Max int `json:"max,omitempty"`
	// Pinning ties virtual CPUs to CPUs of the host.
	Pinning []CPUPin `json:"pinning,omitempty"`
	// Dedicated gives every virtual CPU a CPU of the host for its own: those in Pinning, which then has all of them, or those
	// that the cluster chooses when it places the machine. No other machine of the cluster gets to them while it runs.
	Dedicated bool `json:"dedicated,omitempty"`
	// EmulatorCPUs are the host's CPUs for the hypervisor's own threads, such as "0-1"; only with Dedicated.
	EmulatorCPUs string `json:"emulatorCPUs,omitempty"`
	// NUMA divides CPUs and memory into cells; empty means one of everything.
	NUMA []NUMACell `json:"numa,omitempty"`
}

// CPUPin ties one virtual CPU, counted from 0, to a set of the host's, such as "4-7,^5".
type CPUPin struct {
	// VCPU is the virtual CPU, counted from 0.
	VCPU int `json:"vcpu,omitempty"`
	// HostCPUs are the host's CPUs that it may run on, such as "4-7,^5".
	HostCPUs string `json:"hostCPUs"`
}

// NUMACell is a part of the machine in which memory is near.
type NUMACell struct {
	// CPUs is a set of virtual CPUs, such as "0-3".
	CPUs string `json:"cpus"`
	// MemoryMB is the cell's part of the memory, in MiB.
	MemoryMB int `json:"memoryMB"`
	// HostNodes are the host's NUMA nodes that the memory comes from, such as "0" or "0-1"; empty means any.
	HostNodes string `json:"hostNodes,omitempty"`
}

// Memory shapes the memory. The zero value is what MemoryMB says, from the host's ordinary pages, with a balloon.
type Memory struct {
	// MaxMB is how much the machine can be given while it runs, in MiB; 0 means no more.
	MaxMB int `json:"maxMB,omitempty"`
	// Slots are the modules that can be added up to MaxMB, at most MaxSlots.
	Slots int `json:"slots,omitempty"`
	// InitialMB is how much of MemoryMB the guest may use at first, in MiB; 0 means all.
	InitialMB int `json:"initialMB,omitempty"`
	// HugePages is the size of the host's pages to use, such as "2M" or "1G"; empty means ordinary ones.
	HugePages string `json:"hugePages,omitempty"`
	// Locked keeps the memory from being swapped out.
	Locked bool `json:"locked,omitempty"`
	// Balloon lets the host ask for memory back and see how much is in use.
	Balloon *bool `json:"balloon,omitempty"`
}
