// Package vm compares creating and deleting virtual machines through NovaCron with doing the same through virsh, side by side on one host.
package vm
