package cloudwatch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/cloud"
)

// How long lists are good, and how much of one is read. What is read each 5 minutes is due a little before they are over.
const (
	inventoryFresh = 5*time.Minute - slack
	listingFresh   = 15*time.Minute - slack
	slack          = 30 * time.Second
	modelsFresh    = 24 * time.Hour
	maxPages       = 200
	pageOfMachines = 1000
	pageOfModels   = 100
)

// region is what is known of one.
type region struct {
	name string
	caller
	clients
	machines cloud.Inventory[machine]
	volumes  cloud.Inventory[volume]
	listed   cloud.Inventory[listedMetric]
	// saved is where the lists are kept; changed says that one was read and is not there yet.
	saved   collect.StateStore
	changed bool
	// before are the machines of the last list.
	before map[string]machine
	models map[string]model
	// modelsRead is when the models were forgotten last.
	modelsRead time.Time
	// quiet is since when machines are known not to run, or to be gone.
	quiet map[string]time.Time
	units unitBook
}

func newRegion(name string, cfg Config, s session) *region {
	r := &region{name: name, caller: caller{region: name, cfg: cfg}, clients: s.clients(name), quiet: map[string]time.Time{}, models: map[string]model{}}
	r.saved = cfg.Stores("inventory-" + name)
	// What is gone stays on the list for as long as it can be asked for; the planner tells what is asked.
	r.machines = cloud.Inventory[machine]{List: r.listMachines, Fresh: inventoryFresh, Linger: cfg.Back}
	r.volumes = cloud.Inventory[volume]{List: r.listVolumes, Fresh: inventoryFresh, Linger: cfg.Back}
	r.listed = cloud.Inventory[listedMetric]{List: r.listNamespaces, Fresh: listingFresh, Linger: lingerOf(cfg)}
	return r
}

// lingerOf is how long what is gone is still asked for in any case: until it is noticed and its last period is final.
func lingerOf(cfg Config) time.Duration { return inventoryFresh + 15*time.Minute + 2*cfg.Interval }

// known is what a region has now.
type known struct {
	machines []cloud.Item[machine]
	volumes  []cloud.Item[volume]
	listed   []cloud.Item[listedMetric]
	// whole says that all of it was read: nothing is missing that might have appeared.
	whole bool
}

// look reads what is due of the lists. Beside an error it is what was known before.
func (r *region) look(ctx context.Context, now time.Time) (k known, err error) {
	var failed [3]error
	k.machines, failed[0] = r.machines.Get(ctx, now)
	k.volumes, failed[1] = r.volumes.Get(ctx, now)
	if r.cfg.has(SetAgent) || len(r.cfg.Namespaces) > 0 {
		k.listed, failed[2] = r.listed.Get(ctx, now)
	}
	err = errors.Join(failed[:]...)
	k.whole = err == nil
	err = errors.Join(err, r.remember(ctx, k, now), r.fillModels(ctx, k.machines, now), r.learnUnits(ctx, k.listed, now))
	r.noteQuiet(k.machines, now)
	return k, err
}

// noteQuiet remembers since when machines do not run.
func (r *region) noteQuiet(machines []cloud.Item[machine], now time.Time) {
	next := map[string]time.Time{}
	for _, item := range machines {
		since, was := r.quiet[item.ID]
		switch {
		case item.Alive() && item.Resource.started():
		case was:
			next[item.ID] = since
		case !item.Alive():
			next[item.ID] = item.Gone
		default:
			next[item.ID] = now
		}
	}
	r.quiet = next
}

// pages follows an operation's pages until there is none, or too many.
func pages(what string, read func(token *string) (next *string, err error)) error {
	var token *string
	for range maxPages {
		next, err := read(token)
		if err != nil || aws.ToString(next) == "" {
			return err
		}
		token = next
	}
	return fmt.Errorf("%s: more than %d pages, the limit of one list; select fewer by filters or regions", what, maxPages)
}

func (r *region) listMachines(ctx context.Context) (map[string]machine, error) {
	all := map[string]machine{}
	in := ec2.DescribeInstancesInput{MaxResults: aws.Int32(pageOfMachines)}
	for _, name := range slices.Sorted(maps.Keys(r.cfg.Filters)) {
		in.Filters = append(in.Filters, types.Filter{Name: &name, Values: r.cfg.Filters[name]})
	}
	err := pages(apiInstances.name+" in "+r.name, func(token *string) (*string, error) {
		in.NextToken = token
		out, err := call(ctx, r.caller, apiInstances, func(ctx context.Context) (*ec2.DescribeInstancesOutput, error) {
			return r.instances(ctx, &in)
		})
		if err != nil {
			return nil, err
		}
		for _, reservation := range out.Reservations {
			for _, instance := range reservation.Instances {
				m := machineOf(instance)
				all[m.ID] = r.asBefore(m)
			}
		}
		return out.NextToken, nil
	})
	if err == nil {
		r.before, r.changed = all, true
	}
	return all, err
}

// asBefore keeps what a machine was while its remains fade: EC2 drops tags and attachments of a terminated one.
func (r *region) asBefore(m machine) machine {
	before, was := r.before[m.ID]
	if was && m.State == types.InstanceStateNameTerminated {
		before.State = m.State
		return before
	}
	return m
}

func (r *region) listVolumes(ctx context.Context) (map[string]volume, error) {
	all := map[string]volume{}
	in := ec2.DescribeVolumesInput{MaxResults: aws.Int32(pageOfMachines), Filters: []types.Filter{{Name: aws.String("attachment.status"), Values: []string{"attaching", "attached", "detaching", "busy"}}}}
	err := pages(apiVolumes.name+" in "+r.name, func(token *string) (*string, error) {
		in.NextToken = token
		out, err := call(ctx, r.caller, apiVolumes, func(ctx context.Context) (*ec2.DescribeVolumesOutput, error) {
			return r.clients.volumes(ctx, &in)
		})
		if err != nil {
			return nil, err
		}
		for _, one := range out.Volumes {
			v := volumeFrom(one)
			all[v.ID] = v
		}
		return out.NextToken, nil
	})
	r.changed = r.changed || err == nil
	return all, err
}

// fillModels reads the instance types that are not known yet, and puts all into the machines.
func (r *region) fillModels(ctx context.Context, machines []cloud.Item[machine], now time.Time) error {
	if now.Sub(r.modelsRead) >= modelsFresh {
		r.models, r.modelsRead = map[string]model{}, now
	}
	lacking := map[types.InstanceType]bool{}
	for _, item := range machines {
		if t := item.Resource.Type; t != "" && !r.models[t].Known {
			lacking[types.InstanceType(t)] = true
		}
	}
	var err error
	for some := range slices.Chunk(slices.Sorted(maps.Keys(lacking)), pageOfModels) {
		if err = r.readModels(ctx, some); err != nil {
			break
		}
	}
	for i := range machines {
		machines[i].Resource.Model = r.models[machines[i].Resource.Type]
	}
	return err
}

func (r *region) readModels(ctx context.Context, some []types.InstanceType) error {
	in := ec2.DescribeInstanceTypesInput{InstanceTypes: some}
	return pages(apiTypes.name+" in "+r.name, func(token *string) (*string, error) {
		in.NextToken = token
		out, err := call(ctx, r.caller, apiTypes, func(ctx context.Context) (*ec2.DescribeInstanceTypesOutput, error) {
			return r.types(ctx, &in)
		})
		if err != nil {
			return nil, err
		}
		for _, t := range out.InstanceTypes {
			r.models[string(t.InstanceType)] = modelOf(t)
		}
		return out.NextToken, nil
	})
}
