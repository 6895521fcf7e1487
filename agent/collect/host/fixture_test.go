package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// kernelFiles are those of a made-up host of two CPUs, one disk with a partition, one card and one machine's tap.
var kernelFiles = map[string]string{
	"proc/stat": `cpu  300 30 200 5000 10 4 6 8 100 10
cpu0 100 10 150 2500 7 3 5 8 60 4
cpu1 200 20 50 2500 3 1 1 0 40 6
intr 4711 1 2 3
ctxt 123456
btime 1782864000
processes 789
procs_running 3
procs_blocked 1
softirq 99 1 2
`,
	"proc/loadavg": "1.25 0.75 0.5 3/400 4711\n",
	"proc/uptime":  "3600.25 7000.00\n",
	"proc/meminfo": `MemTotal:        8000 kB
MemFree:         1000 kB
MemAvailable:    6000 kB
Buffers:          100 kB
Cached:          4000 kB
SwapTotal:       2000 kB
SwapFree:        1500 kB
Dirty:             12 kB
Slab:             300 kB
SReclaimable:     200 kB
`,
	"proc/vmstat":                               "nr_free_pages 250\npswpin 3\npswpout 5\npgfault 1000\npgmajfault 40\n",
	"proc/pressure/cpu":                         "some avg10=1.50 avg60=0.50 avg300=0.25 total=2663084728\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
	"proc/pressure/memory":                      "some avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=500000\n",
	"proc/pressure/io":                          "some avg10=0.00 avg60=0.00 avg300=0.00 total=2500000\nfull avg10=3.00 avg60=0.00 avg300=0.00 total=250000\n",
	"proc/pressure/irq":                         "full avg10=0.00 avg60=0.00 avg300=0.00 total=125000\n",
	"proc/sys/fs/file-nr":                       "2048\t0\t65536\n",
	"proc/sys/net/netfilter/nf_conntrack_count": "17\n",
	"proc/sys/net/netfilter/nf_conntrack_max":   "262144\n",
	"proc/diskstats": `   7       0 loop0 1 1 1 1 1 1 1 1 1 1 1 0 0 0 0 0 0
 254       0 vda 10 1 20 1500 30 2 40 2500 4 3500 4000 0 0 0 0 0 0
 254       1 vda1 5 1 10 700 30 2 40 2500 0 3000 3200 0 0 0 0 0 0
 254      16 vdb 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
 253       0 dm-0 10 1 20 1500 30 2 40 2500 0 3500 4000 0 0 0 0 0 0
`,
	"sys/class/block/vda1/partition": "1\n",
	"proc/net/dev": `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
  eth0: 1000 10 1 2 0 0 0 0 2000 20 3 4 0 0 0 0
 vnet7: 5 5 5 5 0 0 0 0 5 5 5 5 0 0 0 0
  tun0: 5 5 5 5 0 0 0 0 5 5 5 5 0 0 0 0
    lo: 300 3 0 0 0 0 0 0 300 3 0 0 0 0 0 0
`,
	"sys/class/net/eth0/operstate":                               "up\n",
	"sys/class/net/eth0/speed":                                   "10000\n",
	"sys/class/net/lo/operstate":                                 "unknown\n",
	"sys/class/net/vnet7/operstate":                              "up\n",
	"sys/class/net/tun0/operstate":                               "up\n",
	"sys/class/net/tun0/tun_flags":                               "0x1001\n",
	"sys/class/net/eth1/operstate":                               "down\n",
	"sys/class/net/eth1/speed":                                   "-1\n",
	"sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq":       "2400000\n",
	"sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq":       "800000\n",
	"sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages":      "64\n",
	"sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages":    "16\n",
	"sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages":   "2\n",
	"sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages": "0\n",
	"sys/kernel/mm/ksm/pages_shared":                             "7\n",
	"sys/kernel/mm/ksm/pages_sharing":                            "70\n",
	"sys/devices/system/node/node0/meminfo":                      "Node 0 MemTotal:        4096 kB\nNode 0 MemFree:         1024 kB\nNode 0 MemUsed:         3072 kB\n",
	"sys/devices/system/node/node1/meminfo":                      "Node 1 MemTotal:        2048 kB\nNode 1 MemFree:          512 kB\n",
	"sys/class/hwmon/hwmon0/name":                                "coretemp\n",
	"sys/class/hwmon/hwmon0/temp1_input":                         "45500\n",
	"sys/class/hwmon/hwmon0/temp1_label":                         "Package id 0\n",
	"sys/class/hwmon/hwmon0/temp2_input":                         "41000\n",
	"proc/self/mountinfo": `22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
28 27 254:16 / /var/lib/my\040disks rw,relatime - xfs /dev/vdb rw
29 27 254:16 /sub /srv/bound rw,relatime - xfs /dev/vdb rw
30 27 0:40 / /run rw - tmpfs tmpfs rw
31 27 0:41 / /net rw - nfs4 server:/export rw
`,
}

// tree writes the files of the host, and what differs; an empty text leaves a file out.
func tree(t *testing.T, different map[string]string) (proc, sys string) {
	t.Helper()
	root := t.TempDir()
	for name, text := range kernelFiles {
		write(t, root, name, text)
	}
	for name, text := range different {
		if text == "" {
			require.NoError(t, os.Remove(filepath.Join(root, name)))
		} else {
			write(t, root, name, text)
		}
	}
	device := filepath.Join(root, "sys/devices/platform/coretemp.0")
	require.NoError(t, os.MkdirAll(device, 0o700))
	require.NoError(t, os.Symlink(device, filepath.Join(root, "sys/class/hwmon/hwmon0/device")))
	return filepath.Join(root, "proc"), filepath.Join(root, "sys")
}

func write(t *testing.T, root, name, text string) {
	t.Helper()
	path := filepath.Join(root, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

// values takes «metric label=value … = number» lines apart.
func values(t *testing.T, text string) []string {
	t.Helper()
	var all []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	return all
}
