#!/bin/bash
# Installs what building, testing and demonstrating NovaCron takes on Debian 12 and its kin, when it is missing.
# It starts and enables no service. Nothing missing: it says nothing and ends at once.
set -euo pipefail

usage() {
	cat <<'U'
usage: deploy/setup.sh [--build|--lab|--tools|--bench|--all|--check] ...
  --build  compiler for cgo and the race detector
  --lab    libvirt, QEMU and what a lab of hosts on one machine takes
  --tools  pinned generators and linters in bin/tools
  --bench  what the shard is measured against
  --all    all of these but --bench (the default)
  --check  install nothing: list what is missing, exit 1 if anything is
U
}

# command or file that proves the presence, then the package that brings it
build_needs='gcc gcc
/usr/include/stdio.h libc6-dev
git git
make make'

lab_needs='qemu-system-x86_64 qemu-system-x86
qemu-img qemu-utils
libvirtd libvirt-daemon
/usr/share/doc/libvirt-daemon-system libvirt-daemon-system
/usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_qemu.so libvirt-daemon-driver-qemu
virsh libvirt-clients
/etc/libvirt/nwfilter/clean-traffic.xml libvirt-daemon-config-nwfilter
dnsmasq dnsmasq-base
iptables iptables
ip iproute2
genisoimage genisoimage
pgrep procps
mkfs.ext4 e2fsprogs
mmdebstrap mmdebstrap
ssh openssh-client
unshare util-linux
dpkg-deb dpkg
syslinux syslinux
/usr/lib/syslinux/mbr/mbr.bin syslinux-common
mcopy mtools
xmllint libxml2-utils
/usr/share/OVMF/OVMF_CODE_4M.ms.fd ovmf
swtpm swtpm
swtpm_setup swtpm-tools
/usr/share/osinfo/os osinfo-db'

bench_needs='victoria-metrics victoria-metrics'

tool_needs='buf v1.75.0 github.com/bufbuild/buf/cmd/buf
protoc-gen-go v1.36.12 google.golang.org/protobuf/cmd/protoc-gen-go
protoc-gen-connect-go v1.21.1 connectrpc.com/connect/cmd/protoc-gen-connect-go
golangci-lint v2.15.0 github.com/golangci/golangci-lint/v2/cmd/golangci-lint'

fail() {
	echo "setup: $*" >&2
	exit 1
}

present() {
	case $1 in
	/*) [ -e "$1" ] ;;
	*) type -P "$1" >/dev/null ;;
	esac
}

packages=()
look_for_packages() {
	local proof package
	while read -r proof package; do
		present "$proof" || packages+=("$package")
	done <<<"$1"
}

# The version of a tool is kept in a file beside it: asking four programs takes longer than all the rest.
tools=()
look_for_tools() {
	local name version path
	while read -r name version path; do
		local have=
		if [ -x "$bin/$name" ] && [ -r "$bin/.$name.version" ]; then read -r have <"$bin/.$name.version"; fi
		[ "$have" != "$version" ] || continue
		have=$(installed_version "$name")
		if [ "$have" != "$version" ]; then
			tools+=("$name $version $path")
		elif [ -z "$check_only" ]; then
			echo "$version" >"$bin/.$name.version"
		fi
	done <<<"$tool_needs"
}

as_root() {
	if [ "$EUID" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

install_packages() {
	type -P apt-get >/dev/null ||
		fail "this system has no apt-get: install what provides these Debian packages by hand: ${packages[*]}"
	[ "$EUID" -eq 0 ] || type -P sudo >/dev/null ||
		fail "installing packages takes root, and there is no sudo: run as root: apt-get install ${packages[*]}"
	echo "setup: installing packages: ${packages[*]}"
	# A policy-rc.d that says 101 keeps packages from starting services; one that is there already stays.
	local policy=/usr/sbin/policy-rc.d ours=
	if [ ! -e $policy ]; then
		ours=yes
		as_root sh -c "printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy"
		trap "as_root rm -f $policy" EXIT
	fi
	local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=5 -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300)
	local log
	log=$(mktemp)
	if ! { as_root "${apt[@]}" update && as_root "${apt[@]}" install -y --no-install-recommends "${packages[@]}"; } >"$log" 2>&1; then
		tail -n 30 "$log" >&2
		fail "apt-get failed on ${packages[*]}; the whole log: $log"
	fi
	rm -f "$log"
	leave_services_off
	if [ -n "$ours" ]; then
		as_root rm -f $policy
		trap - EXIT
	fi
}

# The packages enable their services for the next boot. The lab runs daemons of its own; whoever wants those of the
# machine enables them. Only what came just now is touched.
leave_services_off() {
	local units=() unit
	case " ${packages[*]} " in *" libvirt-daemon-system "*)
		units+=(libvirtd.service libvirt-guests.service {libvirtd,libvirtd-ro,libvirtd-admin,virtlogd,virtlogd-admin,virtlockd,virtlockd-admin}.socket)
	esac
	case " ${packages[*]} " in *" victoria-metrics "*) units+=(victoria-metrics.service) ;; esac
	[ -d /run/systemd/system ] || return 0
	for unit in "${units[@]}"; do
		as_root systemctl disable --quiet "$unit" 2>/dev/null || echo "setup: cannot disable $unit" >&2
	done
}

install_tools() {
	type -P go >/dev/null ||
		fail "no go: install Go 1.26 or newer from https://go.dev/dl and put it into PATH"
	mkdir -p "$bin"
	local tool name version path
	for tool in "${tools[@]}"; do
		read -r name version path <<<"$tool"
		echo "setup: building $name $version"
		GOBIN=$bin GOFLAGS= go install "$path@$version" || fail "cannot build $path@$version: is the Go module proxy in reach?"
		echo "$version" >"$bin/.$name.version"
	done
}

# Go writes the version of its main module into every program that it installs.
installed_version() {
	[ -x "$bin/$1" ] || return 0
	go version -m "$bin/$1" 2>/dev/null | awk '$1 == "mod" { print $3 }'
}

check() {
	[ ${#packages[@]} -eq 0 ] || echo "setup: missing packages: ${packages[*]}"
	[ ${#tools[@]} -eq 0 ] || printf 'setup: missing tool: %s\n' "${tools[@]}"
	[ $((${#packages[@]} + ${#tools[@]})) -eq 0 ]
}

PATH=$PATH:/usr/sbin:/sbin
here=${BASH_SOURCE[0]%/*}
[ "$here" != "${BASH_SOURCE[0]}" ] || here=.
bin=$(cd "$here/.." && pwd)/bin/tools

check_only= groups=()
for arg; do
	case $arg in
	--build | --lab | --tools | --bench) groups+=("${arg#--}") ;;
	--all) groups+=(build lab tools) ;;
	--check) check_only=yes ;;
	-h | --help) usage && exit 0 ;;
	*) usage >&2 && exit 2 ;;
	esac
done
[ ${#groups[@]} -gt 0 ] || groups=(build lab tools)

for group in "${groups[@]}"; do
	case $group in
	build) look_for_packages "$build_needs" ;;
	lab) look_for_packages "$lab_needs" ;;
	bench) look_for_packages "$bench_needs" ;;
	tools) look_for_tools ;;
	esac
done

if [ -n "$check_only" ]; then check && exit 0 || exit 1; fi
[ ${#packages[@]} -eq 0 ] || install_packages
[ ${#tools[@]} -eq 0 ] || install_tools
