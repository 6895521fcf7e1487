package vm

import "fmt"

// ImageNames gives the images that a definition names, by the path of the field that names each.
func (d Definition) ImageNames() map[string]string {
	names := map[string]string{}
	add := func(path, name string) {
		if name != "" {
			names[path] = name
		}
	}
	add("image", d.Image)
	add("iso", d.ISO)
	for i, volume := range d.Volumes {
		add(fmt.Sprintf("volumes[%d].image", i), volume.Image)
	}
	if d.Boot != nil {
		add("boot.kernel", d.Boot.Kernel)
		add("boot.initrd", d.Boot.Initrd)
	}
	return names
}
