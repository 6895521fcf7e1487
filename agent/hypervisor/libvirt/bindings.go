//go:build cgo && libvirt_dlopen

package libvirt

import (
	"errors"
	"os"
	"strings"

	lv "libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"
)

// dropBindings removes the packet filters that a stopped domain's network cards still have: a libvirt daemon that is killed
// in a start leaves them, and refuses them to the next card that gets the same name.
func dropBindings(conn *lv.Connect, dom *lv.Domain) error {
	id, err := dom.GetUUIDString()
	if err != nil {
		return err
	}
	text, err := dom.GetXMLDesc(lv.DOMAIN_XML_INACTIVE)
	if err != nil || !strings.Contains(text, "<filterref ") {
		return err
	}
	bindings, err := conn.ListAllNWFilterBindings(0)
	if errors.Is(err, lv.ERR_NO_SUPPORT) {
		return nil // a driver without packet filters leaves none
	}
	if err != nil {
		return err
	}
	var faults []error
	for i := range bindings {
		faults = append(faults, dropBinding(&bindings[i], id), bindings[i].Free())
	}
	return errors.Join(faults...)
}

// dropBinding removes a filter from a card if it is that of a domain.
func dropBinding(binding *lv.NWFilterBinding, domain string) error {
	text, err := binding.GetXMLDesc(0)
	if errors.Is(err, lv.ERR_NO_NWFILTER_BINDING) {
		return nil
	}
	if err != nil {
		return err
	}
	var x libvirtxml.NWFilterBinding
	if err := x.Unmarshal(text); err != nil {
		return err
	}
	if x.Owner == nil || x.Owner.UUID != domain || x.PortDev == nil {
		return nil
	}
	if _, err := os.Stat("/sys/class/net/" + x.PortDev.Name); err == nil {
		return nil // a start that has just begun made the card: its filter has to stay
	}
	return binding.Delete()
}

// bindingTaken tells whether a card got a name whose filter another start has left. The next one gets the next name.
func bindingTaken(err error) bool {
	var e lv.Error
	return errors.As(err, &e) && e.Code == lv.ERR_OPERATION_FAILED && e.Domain == lv.FROM_NWFILTER
}
