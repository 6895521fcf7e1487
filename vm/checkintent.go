package vm

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Forms of devices of the host, and of keys for logging in.
var (
	pciForm    = regexp.MustCompile(`^[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]$`)
	usbForm    = regexp.MustCompile(`^[0-9a-f]{4}:[0-9a-f]{4}$`)
	sshKeyForm = regexp.MustCompile(`^(ssh|ecdsa|sk-ssh|sk-ecdsa)-[A-Za-z0-9@.-]+ [A-Za-z0-9+/=]{16,}( .*)?$`)
	metaForm   = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,62}$`)
)

func (c *checker) devices(def Definition) {
	d := def.Devices
	c.oneOf("devices.graphics", d.Graphics, []string{GraphicsNone, GraphicsVNC})
	if d.Watchdog != "" {
		c.oneOf("devices.watchdog", d.Watchdog, watchdogActions())
	}
	if len(d.HostDevices) > MaxHostDevices {
		c.add("devices.hostDevices", fmt.Sprintf("%d devices", len(d.HostDevices)), fmt.Sprintf("at most %d", MaxHostDevices), "remove some")
		return
	}
	seen := map[HostDevice]string{}
	for i, h := range d.HostDevices {
		path := fmt.Sprintf("devices.hostDevices[%d]", i)
		c.hostDevice(path, h)
		if other := seen[h]; other != "" {
			c.add(path, h.PCI+h.USB, "each device once", "it is given as "+other+" already: remove one of them")
		}
		seen[h] = path
	}
}

func (c *checker) hostDevice(path string, h HostDevice) {
	switch {
	case (h.PCI == "") == (h.USB == ""):
		c.add(path, "pci "+shown(h.PCI)+" and usb "+shown(h.USB), "one of the two", "give an address such as pci: 0000:3b:00.0, or usb: 046d:c52b")
	case h.PCI != "" && !pciForm.MatchString(h.PCI):
		c.add(path+".pci", h.PCI, "an address such as 0000:3b:00.0", "see lspci -D")
	case h.USB != "" && !usbForm.MatchString(h.USB):
		c.add(path+".usb", h.USB, "vendor and product such as 046d:c52b", "see lsusb")
	}
}

func (c *checker) cloudInit(seed *CloudInit) {
	if seed == nil {
		return
	}
	c.text("cloudInit.userData", seed.UserData, MaxSeedBytes, "\t\n\r")
	c.text("cloudInit.networkConfig", seed.NetworkConfig, MaxSeedBytes, "\t\n\r")
	if seed.Hostname != "" && !nameForm.MatchString(seed.Hostname) {
		c.add("cloudInit.hostname", seed.Hostname, "1 to 63 of A-Z a-z 0-9 -, no - at either end", "leave it out for one made of the name")
	}
	c.metaData(seed.MetaData)
	c.sshKeys(seed.SSHKeys)
	if seed.NetworkConfig != "" && !isHidden(seed.NetworkConfig) && !isNetworkConfig(seed.NetworkConfig) {
		c.add("cloudInit.networkConfig", seed.NetworkConfig, "YAML with version: 1 or version: 2, at the top or below network:", "see cloud-init's documentation of networking")
	}
	if size := seedSize(seed); size > MaxSeedBytes {
		c.add("cloudInit", fmt.Sprintf("%d bytes in all", size), fmt.Sprintf("at most %d", MaxSeedBytes), "let the guest fetch what is large")
	}
}

func (c *checker) metaData(meta map[string]string) {
	if len(meta) > MaxLabels {
		c.add("cloudInit.metaData", fmt.Sprintf("%d entries", len(meta)), fmt.Sprintf("at most %d", MaxLabels), "remove some")
		return
	}
	for _, key := range slices.Sorted(maps.Keys(meta)) {
		switch {
		case slices.Contains([]string{"instance-id", "local-hostname", "public-keys"}, key):
			c.add("cloudInit.metaData", key, "keys that are not made of the definition", "use uuid, cloudInit.hostname or cloudInit.sshKeys")
		case !metaForm.MatchString(key):
			c.add("cloudInit.metaData", key, "keys of 1 to 63 of A-Z a-z 0-9 _ -, a letter first", "rename the key")
		default:
			c.text("cloudInit.metaData["+key+"]", meta[key], maxAnnotation, "\t\n")
		}
	}
}

func (c *checker) sshKeys(list []string) {
	if len(list) > maxKeys {
		c.add("cloudInit.sshKeys", fmt.Sprintf("%d keys", len(list)), fmt.Sprintf("at most %d", maxKeys), "remove some")
		return
	}
	for i, key := range list {
		path := fmt.Sprintf("cloudInit.sshKeys[%d]", i)
		c.text(path, key, maxKeyBytes, "")
		if len(key) <= maxKeyBytes && !sshKeyForm.MatchString(key) {
			c.add(path, key, "a public key such as ssh-ed25519 AAAA… name", "give the one line of a .pub file")
		}
	}
}

// isNetworkConfig tells YAML with a version that cloud-init knows.
func isNetworkConfig(text string) bool {
	if checkLength([]byte(text)) != nil {
		return false
	}
	var doc yaml.Node
	if yaml.Unmarshal([]byte(text), &doc) != nil || len(doc.Content) != 1 {
		return false
	}
	root := doc.Content[0]
	if inner := child(root, "network"); inner != nil {
		root = inner
	}
	version := child(root, "version")
	return version != nil && (version.Value == "1" || version.Value == "2")
}

// child is the value of a key of a mapping, or nil.
func child(n *yaml.Node, key string) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func seedSize(seed *CloudInit) int {
	size := len(seed.UserData) + len(seed.NetworkConfig)
	for key, value := range seed.MetaData {
		size += len(key) + len(value)
	}
	for _, key := range seed.SSHKeys {
		size += len(key)
	}
	return size
}

func (c *checker) placement(p Placement) {
	if p.Host != "" && !hostForm.MatchString(p.Host) {
		c.add("placement.host", p.Host, "the name or id of a host", "see `novacron host list`")
	}
	if len(p.NotHosts) > maxHosts {
		c.add("placement.notHosts", fmt.Sprintf("%d hosts", len(p.NotHosts)), fmt.Sprintf("at most %d", maxHosts), "use hostLabels")
		p.NotHosts = nil
	}
	for i, host := range p.NotHosts {
		path := fmt.Sprintf("placement.notHosts[%d]", i)
		if !hostForm.MatchString(host) {
			c.add(path, host, "the name or id of a host", "see `novacron host list`")
		} else if strings.EqualFold(host, p.Host) {
			c.add(path, host, "not the host that is asked for", "remove one of them")
		}
	}
	c.labels("placement.hostLabels", p.HostLabels, maxLabelValue, "")
	c.labels("placement.affinity", p.Affinity, maxLabelValue, "")
	c.labels("placement.antiAffinity", p.AntiAffinity, maxLabelValue, "")
}

func (c *checker) policies(def Definition) {
	c.oneOf("restartPolicy", def.RestartPolicy, restartPolicies())
	c.oneOf("evacuationPolicy", def.EvacuationPolicy, evacuationPolicies())
}
