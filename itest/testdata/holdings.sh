# Prints what a host holds of machines: $1 is the folder of its small pool, $2 that of its agent's journal. Guests by which
# an agent finds out what runs guests there come and go, and are left out.
set -euo pipefail
export LC_ALL=C
section() { printf '== %s\n' "$1"; }

# of runs commands of virsh, in which & is a name, for every name that it reads.
of() { virsh -q "uri; $(sort | sed -n "s/..*/$1;/p" | tr '\n' ' ')"; }

section domains
virsh -q list --all --name | sed '/^nc-probe-/d' | of 'domstate &; dumpxml &; dumpxml --inactive &'
section volumes
virsh -q 'vol-list default; vol-list tight' | sort
find /var/lib/libvirt/images "$1" -type f -exec sha256sum {} + | sort -k 2
section networks
# The count of connections is libvirt's own, and wrong until it starts anew.
virsh -q net-list --all --name | of 'net-dumpxml &; net-dumpxml --inactive &' | sed "s/ connections='[0-9]*'//"
section leases
virsh -q net-list --name | of 'net-dhcp-leases &'
section cards
ip -o link | sed 's/^[0-9]*: \([^:@]*\).*/\1/' | sort
virsh -q nwfilter-binding-list
section nvram
[ ! -d /var/lib/libvirt/qemu/nvram ] || find /var/lib/libvirt/qemu/nvram -type f -exec sha256sum {} + | sort -k 2
section processes
{ pgrep -a qemu-system || true; } | sed -n 's/^\([0-9]*\) .*guest=\([^,]*\),.* -uuid \([^ ]*\) .*/\1 \2 \3/p' | sed '/nc-probe-/d'
section files
# Left out are folders, and those of single starts: a libvirtd that is killed in a start may forget an empty one.
find /var/lib/libvirt/qemu /run/libvirt/qemu /etc/libvirt/qemu \( -path '*/nvram/*' -o -name 'domain-*' \) -prune -o ! -type d ! -name 'nc-probe-*' -print | sort
section journal
ls "$2"
