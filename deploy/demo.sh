#!/bin/bash
# Shows NovaCron at work on this one machine: three controllers and two hypervisors in namespaces, real guests under
# QEMU, and nothing left in the end. DEMO_KEEP=1 leaves the cluster running.
#
#   deploy/demo.sh            the demonstration
#   deploy/demo.sh down DIR   ends one that was kept
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
novacron=$PWD/bin/novacron
controllers=(c1 c2 c3)
hosts=(h1 h2)

if [ "$EUID" -ne 0 ]; then
	type -P sudo >/dev/null || { echo "demo: the hosts live in namespaces, which takes root, and there is no sudo: run it as root" >&2; exit 1; }
	exec sudo --preserve-env=PATH,DEMO_KEEP,GOCACHE,GOMODCACHE,GOPROXY,GOFLAGS "${BASH_SOURCE[0]}" "$@"
fi

take_down() { # DIR
	[ ! -x "$novacron" ] || "$novacron" test lab down --dir "$1/lab" || return 1
	rm -rf "$1"
}

case ${1-} in
'') ;;
down)
	[ -f "${2-}/demo.log" ] || { echo "demo: ${2-no folder} holds no demonstration: give the folder that it named" >&2; exit 2; }
	take_down "$2"
	echo "demo: $2 is gone"
	exit
	;;
*) sed -n '2,6s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2 && exit 2 ;;
esac

# --- telling -----------------------------------------------------------------------------------------------------

begin=${EPOCHREALTIME/./}
now=starting

say() { # TEXT: a finished step, with the time since the start
	local us=$((${EPOCHREALTIME/./} - begin))
	printf '[%3d.%ds] %s\n' $((us / 1000000)) $((us / 100000 % 10)) "$*"
}

indent() { sed 's/\r$//; /^[[:space:]]*$/d; s/^/         /'; }

show_logs() {
	local log
	for log in "$dir"/demo.log "$dir"/lab/hosts/*/spawned/*.log; do
		[ -s "$log" ] || continue
		echo "--- ${log#"$dir"/}"
		tail -n 20 "$log"
	done
}

finish() {
	local status=$?
	trap '' INT TERM HUP EXIT
	[ -z "${child-}" ] || kill "$child" 2>/dev/null || true
	if [ $status -gt 128 ]; then
		echo "demo: interrupted while $now: cleaning up" >&2
	elif [ $status -ne 0 ]; then
		status=1
		show_logs >&2
		echo "demo: failed while $now" >&2
	fi
	[ -n "${kept-}" ] || take_down "$dir" || status=1
	exit $status
}

# --- doing -------------------------------------------------------------------------------------------------------

# Runs a program so that a signal ends the demonstration at once and not after the program.
run() {
	"$@" &
	child=$!
	wait $child || { local status=$?; child=; return $status; }
	child=
}

quietly() { run "$@" >>"$dir/demo.log" 2>&1; }

wait_for() { # SECONDS PROGRAM...
	local end=$((SECONDS + $1))
	shift
	until "$@" 2>>"$dir/demo.log"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.2
	done
}

on() { "$novacron" test lab exec "$1" -- "${@:2}"; }

address() { "$novacron" test lab list -o csv --no-headers | awk -F, -v name="$1" '$1 == name { print $3 }'; }

start() { # ROLE NAME
	quietly "$novacron" test lab exec -d --name "$1" "$2" -- "$novacron" "$1" --data-dir "$dir/$2"
}

join() { # ROLE NAME
	"$novacron" cluster token create --role "$1" --node "$2" 2>>"$dir/demo.log" |
		on "$2" "$novacron" cluster join "$(address c1):7750" --token - --name "$2" --address "$(address "$2")" --data-dir "$dir/$2" >>"$dir/demo.log" 2>&1
	start "$1" "$2"
}

three_vote() {
	"$novacron" cluster health >>"$dir/demo.log" &&
		[ "$("$novacron" cluster members -o csv --no-headers | awk -F, '$3 == "leader" || $3 == "voter"' | wc -l)" -eq ${#controllers[@]} ]
}

hosts_are_up() {
	[ "$("$novacron" host list -o csv --no-headers | awk -F, '$2 == "up"' | wc -l)" -eq ${#hosts[@]} ]
}

console() { # NAME: what a guest prints until it is up
	run "$novacron" vm console "$1" --until "disks=" --timeout 100s >"$dir/console" 2>>"$dir/demo.log"
	grep -q "GUEST-UP" "$dir/console"
	indent <"$dir/console"
}

nothing_left() { # HOST: asks libvirt itself, not NovaCron
	local left
	left=$(on "$1" sh -c 'virsh -q list --all --name; virsh -q vol-list default; pgrep -a qemu-system || true' | sed '/^ *$/d')
	[ -z "$left" ] || { printf '%s still has:\n%s\n' "$1" "$left" >&2; return 1; }
}

# --- the demonstration -------------------------------------------------------------------------------------------

deploy/setup.sh --build --lab

dir=$(mktemp -d /tmp/novacron-demo.XXXXXX)
: >"$dir/demo.log"
trap finish EXIT
trap 'exit 130' INT HUP
trap 'exit 143' TERM
begin=${EPOCHREALTIME/./}
export NOVACRON_CONFIG=$dir/config.yaml NOVACRON_LAB=$dir/lab

now="building"
run make --no-print-directory build >>"$dir/demo.log" 2>&1
say "built bin/novacron"

now="building the test guest"
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/novacron/guest
quietly "$novacron" test lab guest "$cache"
IFS=, read -r kernel initrd cmdline disk < <("$novacron" test lab guest "$cache" -o csv --no-headers)
say "built a small Linux to run as guest, $(du -h --apparent-size "$disk" | cut -f1)"

now="starting the machines"
quietly "$novacron" test lab up --hosts "$(IFS=,; echo "${hosts[*]}")" --nodes "$(IFS=,; echo "${controllers[*]}")"
say "started five machines in namespaces: ${controllers[*]}, and ${hosts[*]} with a libvirt each"

now="making the cluster"
quietly "$novacron" cluster init --name c1 --address "$(address c1)" --data-dir "$dir/c1"
start controller c1
wait_for 20 "$novacron" cluster health >>"$dir/demo.log"
say "made a cluster: certificate authority and first controller on c1"

now="joining controllers"
for name in "${controllers[@]:1}"; do join controller "$name"; done
wait_for 30 three_vote
say "c2 and c3 joined with single-use tokens: three controllers vote"

now="joining agents"
for name in "${hosts[@]}"; do join agent "$name"; done
wait_for 60 hosts_are_up
say "h1 and h2 joined:"
"$novacron" host list | indent

now="adding images"
quietly "$novacron" image add guest "$disk"
quietly "$novacron" image add guest-kernel "$kernel" --format raw
quietly "$novacron" image add guest-initrd "$initrd" --format raw
say "added images, kept by their hashes:"
"$novacron" image list | indent

now="creating a virtual machine from a disk image"
quietly "$novacron" vm create web-1 --cpus 1 --memory 128MiB --image guest --disk 1GiB --network default
say "created web-1, which boots from an overlay of a disk image; its console:"
console web-1

now="creating a virtual machine with a kernel of its own"
quietly "$novacron" vm create web-2 --cpus 1 --memory 128MiB --kernel guest-kernel --initrd guest-initrd --cmdline "$cmdline nc.name=web-2"
say "created web-2, which boots a kernel directly; its console:"
console web-2
say "both guests are up:"
"$novacron" vm list | indent

now="deleting the virtual machines"
quietly "$novacron" vm delete web-1 web-2 --yes
say "deleted both"

now="looking for what is left"
for name in "${hosts[@]}"; do nothing_left "$name" 2>>"$dir/demo.log"; done
say "virsh on h1 and h2: no domain, no volume, no QEMU process is left"

if [ "${DEMO_KEEP-}" = 1 ]; then
	kept=yes
	say "done; the cluster stays. Use it:"
	indent <<U
export NOVACRON_CONFIG=$NOVACRON_CONFIG NOVACRON_LAB=$NOVACRON_LAB PATH=$PWD/bin:\$PATH
novacron vm create mine --cpus 1 --memory 128MiB --image guest --disk 1GiB --network default
novacron vm console mine
novacron test lab exec h1 -- virsh list --all
End it: $PWD/deploy/demo.sh down $dir
U
	exit 0
fi

now="taking it all down"
take_down "$dir"
kept=gone
say "took everything down; done"
