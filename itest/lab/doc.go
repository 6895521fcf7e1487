// Package lab runs hosts with a real libvirt and QEMU each, in namespaces of one machine, for tests and demonstrations.
package lab
