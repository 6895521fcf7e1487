package cloudwatch

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// machine is what EC2 says of an instance.
type machine struct {
	ID, Name, Type   string
	State            types.InstanceStateName
	Launched         time.Time
	VCPUs            int
	Detailed         bool
	Image, Zone, OS  string
	Arch, Hypervisor string
	Cards            []card
	Tags             map[string]string
	Model            model `json:"-"`
}

// card is a network interface.
type card struct{ ID, MAC, Network string }

// model is what EC2 says of an instance type; the zero value is one that is not known.
type model struct {
	Known         bool
	Memory        int64 // bytes
	InstanceStore bool
	Hypervisor    string
}

// volume is what EC2 says of an EBS volume.
type volume struct {
	ID, Type string
	Size     int64 // bytes
	// Machine is the first that it is attached to, Path where; empty for none.
	Machine, Path string
}

// device is what a volume is called where it is attached.
func (v volume) device() string { return strings.TrimPrefix(v.Path, "/dev/") }

func (m machine) running() bool { return m.State == types.InstanceStateNameRunning }

// started tells whether metrics may come.
func (m machine) started() bool {
	return m.State != types.InstanceStateNameStopped && m.State != types.InstanceStateNameTerminated
}

func machineOf(i types.Instance) machine {
	m := machine{
		ID: aws.ToString(i.InstanceId), Type: string(i.InstanceType), Launched: aws.ToTime(i.LaunchTime), Image: aws.ToString(i.ImageId),
		OS: aws.ToString(i.PlatformDetails), Arch: string(i.Architecture), Hypervisor: string(i.Hypervisor), Tags: map[string]string{},
	}
	if i.State != nil {
		m.State = i.State.Name
	}
	if i.CpuOptions != nil {
		m.VCPUs = int(aws.ToInt32(i.CpuOptions.CoreCount) * aws.ToInt32(i.CpuOptions.ThreadsPerCore))
	}
	if i.Monitoring != nil {
		m.Detailed = i.Monitoring.State == types.MonitoringStateEnabled
	}
	if i.Placement != nil {
		m.Zone = aws.ToString(i.Placement.AvailabilityZone)
	}
	for _, tag := range i.Tags {
		m.Tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	m.Name = cmp.Or(m.Tags["Name"], m.ID)
	for _, n := range i.NetworkInterfaces {
		m.Cards = append(m.Cards, card{aws.ToString(n.NetworkInterfaceId), aws.ToString(n.MacAddress), aws.ToString(n.SubnetId)})
	}
	return m
}

func modelOf(t types.InstanceTypeInfo) model {
	m := model{Known: true, InstanceStore: aws.ToBool(t.InstanceStorageSupported), Hypervisor: string(t.Hypervisor)}
	if t.MemoryInfo != nil {
		m.Memory = aws.ToInt64(t.MemoryInfo.SizeInMiB) << 20
	}
	return m
}

// volumeFrom takes the first attachment by the machine's id: what a volume that several share does counts once.
func volumeFrom(v types.Volume) volume {
	one := volume{ID: aws.ToString(v.VolumeId), Type: string(v.VolumeType), Size: int64(aws.ToInt32(v.Size)) << 30}
	attached := slices.SortedFunc(slices.Values(v.Attachments), func(a, b types.VolumeAttachment) int {
		return cmp.Compare(aws.ToString(a.InstanceId), aws.ToString(b.InstanceId))
	})
	if len(attached) > 0 {
		one.Machine, one.Path = aws.ToString(attached[0].InstanceId), aws.ToString(attached[0].Device)
	}
	return one
}
