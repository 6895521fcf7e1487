package vm

// Validate returns every fault of a definition at once, as Faults, or nil. It knows no host; fields left empty pass
// where Normalise fills them in.
func Validate(def Definition) error {
	c := &checker{}
	c.identity(def)
	c.system(def)
	c.size(def)
	c.disks(def)
	c.nics(def)
	c.boot(def.Boot)
	c.placement(def.Placement)
	return c.faults.Err()
}
