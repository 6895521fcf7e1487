// Package cloudinit builds the disk from which a guest's cloud-init learns who it is: the NoCloud seed.
package cloudinit

import (
	"fmt"

	"sigs.k8s.io/yaml"

	"github.com/novacron/novacron/vm"
)

// Label is what cloud-init looks for among the disks.
const Label = "cidata"

// noUserData is a valid nothing: cloud-init wants the file.
const noUserData = "#cloud-config\n{}\n"

// Seed builds the disk for a definition with cloud-init, of whole sectors of 2048 bytes. The same definition gives the
// same bytes.
func Seed(def vm.Definition) ([]byte, error) {
	files, err := Files(def)
	if err != nil {
		return nil, fmt.Errorf("seed of %s: %w", def.Name, err)
	}
	image, err := Image(Label, files)
	if err != nil {
		return nil, fmt.Errorf("seed of %s: %w", def.Name, err)
	}
	return image, nil
}

// Files are what lies on the seed of a definition with cloud-init.
func Files(def vm.Definition) ([]File, error) {
	seed := def.CloudInit
	if seed == nil {
		return nil, fmt.Errorf("%s has no cloudInit", def.Name)
	}
	meta, err := metaData(def)
	if err != nil {
		return nil, err
	}
	user := seed.UserData
	if user == "" {
		user = noUserData
	}
	files := []File{{"meta-data", meta}, {"user-data", []byte(user)}}
	if seed.NetworkConfig != "" {
		files = append(files, File{"network-config", []byte(seed.NetworkConfig)})
	}
	return files, nil
}

// metaData is YAML with its keys in order.
func metaData(def vm.Definition) ([]byte, error) {
	meta := map[string]any{}
	for key, value := range def.CloudInit.MetaData {
		meta[key] = value
	}
	meta["instance-id"] = def.UUID
	meta["local-hostname"] = def.CloudInit.Hostname
	if def.CloudInit.Hostname == "" {
		meta["local-hostname"] = vm.Hostname(def.Name, def.UUID)
	}
	if len(def.CloudInit.SSHKeys) > 0 {
		meta["public-keys"] = def.CloudInit.SSHKeys
	}
	return yaml.Marshal(meta)
}
