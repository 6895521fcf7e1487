package vm

// Validate returns every fault of a definition at once, as Faults, or nil. It knows no host; fields left empty pass
// where Normalise fills them in.
func Validate(def Definition) error {
	_, err := Checked(def)
	return err
}

// Checked fills in a definition, as Normalise does with empty Defaults, and tells what is wrong with it, as Validate does.
func Checked(def Definition) (Definition, error) {
	def = normalForm(def)
	c := &checker{}
	c.identity(def)
	c.system(def)
	c.firmware(def)
	c.size(def)
	c.cpu(def)
	c.numa(def)
	c.memory(def)
	c.disks(def)
	c.nics(def)
	c.bootOrders(def)
	c.boot(def.Boot)
	c.devices(def)
	c.cloudInit(def.CloudInit)
	c.placement(def.Placement)
	c.policies(def)
	return def, c.faults.Err()
}

// normalForm is what the checks look at: lists that are too long anyway are cut to just above their limits.
func normalForm(def Definition) Definition {
	def.Volumes = def.Volumes[:min(len(def.Volumes), MaxVolumes+1)]
	def.NetworkInterfaces = def.NetworkInterfaces[:min(len(def.NetworkInterfaces), MaxNICs+1)]
	def.Devices.HostDevices = def.Devices.HostDevices[:min(len(def.Devices.HostDevices), MaxHostDevices+1)]
	return Normalise(def, Defaults{})
}
