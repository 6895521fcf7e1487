// Package vm compares creating and deleting virtual machines through NovaCron with doing the same through virsh, side by side on one
// host, and tells what an idle agent holds of the memory.
package vm
