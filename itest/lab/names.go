package lab

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
)

// Bridge is the name that every host gives to the bridge which holds its address and its way to the other hosts.
// A guest with an interface on it is on the network of the lab.
const Bridge = "vmbr0"

const (
	maxHosts  = 200 // hosts take .1 to .200 of the lab's /24
	outsideIP = 254 // last byte of the address of the machine itself on the lab's network
)

var hostName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`)

// labID derives a name from the folder, short enough for a network interface (15 characters), so that labs in
// different folders can run at the same time and Down finds everything even when the state file is damaged.
func labID(dir string) string {
	sum := sha256.Sum256([]byte(dir))
	return "nc" + hex.EncodeToString(sum[:4])
}

// firstSubnet spreads labs over 10.77.0.0/16.
func firstSubnet(dir string) int {
	sum := sha256.Sum256([]byte(dir))
	return int(sum[5])
}

// hostUUID is what libvirt reports as the host's UUID: the same at every boot, different in every lab.
func hostUUID(id, name string) string {
	b := sha256.Sum256([]byte(id + "/" + name))
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

func address(subnet, last int) string { return fmt.Sprintf("10.77.%d.%d", subnet, last) }
