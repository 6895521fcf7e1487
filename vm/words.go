package vm

// Words that definitions use, besides those of disks and firmware.
const (
	CPUPassthrough = "host-passthrough"
	CPUHostModel   = "host-model"
	CPUMaximum     = "maximum"
	CPUCustom      = "custom"

	TPM2    = "2.0"
	TPMNone = "none"
	TPMAuto = "auto"

	LaunchSEV = "sev"

	ClockUTC   = "utc"
	ClockLocal = "localtime"

	DiscardUnmap = "unmap"

	GraphicsNone = "none"
	GraphicsVNC  = "vnc"

	RestartAlways    = "always"
	RestartOnFailure = "on-failure"
	RestartNever     = "never"

	EvacuateMigrate = "migrate"
)

func cpuModes() []string {
	return []string{CPUPassthrough, CPUHostModel, CPUMaximum, CPUCustom}
}

func cacheModes() []string {
	return []string{"none", "writeback", "writethrough", "directsync", "unsafe"}
}

func ioModes() []string { return []string{"threads", "native", "io_uring"} }

func watchdogActions() []string {
	return []string{"reset", "poweroff", "pause", "inject-nmi", "none"}
}

func restartPolicies() []string { return []string{RestartAlways, RestartOnFailure, RestartNever} }

func evacuationPolicies() []string { return []string{EvacuateMigrate, "restart", "stop", "never"} }
