#!/bin/bash
# The first process of a lab host. It gives the host its own files, control groups and daemons, says «ready» on
# descriptor 3 and then adopts orphans until the host is switched off. The mounts are seen by this host only.
set -eu

hostname "$LAB_NAME"
mount --make-rprivate /

own_files() {
	mount --bind "$LAB_HOSTS" /etc/hosts
	if [ "$LAB_LIBVIRT" = true ]; then
		mount --bind "$LAB_DIR/etc" /etc/libvirt
		local d
		for d in lib cache log; do mount --bind "$LAB_DIR/$d" /var/$d/libvirt; done
		own_tpms
	fi
}

# Where the emulator of TPMs is installed, the authority that certifies them and its logs are the host's own too. The
# folder of the logs is made by whoever needs it first.
own_tpms() {
	[ -d /var/lib/swtpm-localca ] || return 0
	mkdir -p /var/log/swtpm
	mount --bind "$LAB_DIR/tpm/authority" /var/lib/swtpm-localca
	mount --bind "$LAB_DIR/tpm/log" /var/log/swtpm
}

# A new /sys shows this network namespace; detaching the old one hides the control groups of the machine, which
# libvirt would find in the mount table otherwise.
own_kernel_files() {
	umount -l /sys
	mount -t sysfs sysfs /sys
	mount -t proc proc /proc
	mount -t tmpfs -o mode=755 run /run
	mkdir -p /run/lock
	mount -t tmpfs -o mode=1777 shm /dev/shm
	if grep -q hugetlbfs /proc/filesystems; then # libvirt finds it by itself; the pages are the machine's
		mkdir /run/hugepages
		mount -t hugetlbfs pages /run/hugepages
	fi
}

cgroups_v1() {
	mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
	local c
	for c in $LAB_CGROUPS; do
		mkdir "/sys/fs/cgroup/$c"
		mount -t cgroup -o "$c" cgroup "/sys/fs/cgroup/$c"
	done
}

cgroups_v2() {
	mount -t cgroup2 cgroup2 /sys/fs/cgroup
	local c
	for c in $(</sys/fs/cgroup/cgroup.controllers); do
		echo "+$c" >/sys/fs/cgroup/cgroup.subtree_control || echo "controller $c is not for guests" >&2
	done
}

start_libvirt() {
	virtlogd -d 3>&-
	libvirtd -d -l 3>&-
	virsh -q -c qemu:///system net-list >/dev/null # answers once pools and networks have started
}

own_files
own_kernel_files
if [ -n "$LAB_CGROUPS" ]; then cgroups_v1; else cgroups_v2; fi
if [ "$LAB_LIBVIRT" = true ]; then start_libvirt; fi
echo ready >&3
exec 3>&-
while :; do
	sleep infinity &
	wait $!
done
