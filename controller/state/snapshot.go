package state

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/encoding/protodelim"

	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// maxRecordBytes bounds one record of a snapshot; the largest legal command is a quarter of it.
const maxRecordBytes = 4 << 20

// Write streams the tables as length-delimited SnapshotRecords: a header, the tables in order of their keys, an end
// record that counts them. Equal states give equal bytes.
func (v View) Write(w io.Writer) error {
	out := recordWriter{marshal: protodelim.MarshalOptions{}, w: w}
	out.marshal.Deterministic = true
	out.put(&statev1.SnapshotRecord{Record: &statev1.SnapshotRecord_Header{Header: &statev1.SnapshotHeader{
		Version: Version, Revision: v.t.revision, ClusterId: v.t.clusterID, EventsFloor: v.t.eventsFloor,
	}}})
	for _, r := range v.t.members.after("") {
		out.put(&statev1.SnapshotRecord{Record: &statev1.SnapshotRecord_Member{Member: r}})
	}
	for _, r := range v.t.tokens.after("") {
		out.put(&statev1.SnapshotRecord{Record: &statev1.SnapshotRecord_Token{Token: r}})
	}
	for _, r := range v.t.images.after("") {
		out.put(&statev1.SnapshotRecord{Record: &statev1.SnapshotRecord_Image{Image: r}})
	}
	for _, r := range v.t.networks.after("") {
		out.put(&statev1.SnapshotRecord{Record: &statev1.SnapshotRecord_Network{Network: r}})
	}
	for _, r := range v.t.groups.after("") {
		out.put(&statev1.SnapshotRecord{Record: &statev1.SnapshotRecord_SecurityGroup{SecurityGroup: r}})
	}
	for _, r := range v.t.hosts.after("") {
		out.put(&statev1.SnapshotRecord{Record: &statev1.SnapshotRecord_Host{Host: r}})
	}
	for _, r := range v.t.vms.after("") {
		out.put(&statev1.SnapshotRecord{Record: &statev1.SnapshotRecord_Vm{Vm: r}})
	}
	for _, r := range v.t.volumes.after("") {
		out.put(&statev1.SnapshotRecord{Record: &statev1.SnapshotRecord_Volume{Volume: r}})
	}
	for _, r := range v.t.sources.after("") {
		out.put(&statev1.SnapshotRecord{Record: &statev1.SnapshotRecord_MetricSource{MetricSource: r}})
	}
	for _, r := range v.t.metrics.after("") {
		out.put(&statev1.SnapshotRecord{Record: &statev1.SnapshotRecord_MetricDefinition{MetricDefinition: r}})
	}
	for _, r := range v.t.forwards.after("") {
		out.put(&statev1.SnapshotRecord{Record: &statev1.SnapshotRecord_MetricForward{MetricForward: r}})
	}
	for _, r := range v.t.limits.after("") {
		out.put(&statev1.SnapshotRecord{Record: &statev1.SnapshotRecord_MetricLimits{MetricLimits: r}})
	}
	for _, r := range v.t.revoked.after("") {
		out.put(&statev1.SnapshotRecord{Record: &statev1.SnapshotRecord_Revoked{Revoked: r}})
	}
	for _, r := range v.t.requests.after("") {
		out.put(&statev1.SnapshotRecord{Record: &statev1.SnapshotRecord_Request{Request: r}})
	}
	for _, r := range v.t.templates.after("") {
		out.put(&statev1.SnapshotRecord{Record: &statev1.SnapshotRecord_Template{Template: r}})
	}
	for _, r := range v.t.events.after("") {
		out.put(&statev1.SnapshotRecord{Record: &statev1.SnapshotRecord_Event{Event: r}})
	}
	out.put(&statev1.SnapshotRecord{Record: &statev1.SnapshotRecord_End{End: &statev1.SnapshotEnd{Records: out.count}}})
	return out.err
}

// Hash is the SHA-256 of what Write writes, in hex.
func (v View) Hash() (string, error) {
	h := sha256.New()
	if err := v.Write(h); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

type recordWriter struct {
	marshal protodelim.MarshalOptions
	w       io.Writer
	count   uint64
	err     error
}

func (o *recordWriter) put(r *statev1.SnapshotRecord) {
	if o.err != nil {
		return
	}
	o.count++
	_, o.err = o.marshal.MarshalTo(o.w, r)
}

// Restore replaces the tables by a snapshot. On an error the store is as it was.
func (s *Store) Restore(r io.Reader) error {
	restored, err := read(bufio.NewReader(r))
	if err != nil {
		return fmt.Errorf("restore state: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tables = restored
	s.restores++
	s.feed.reset(restored.revision)
	return nil
}

func read(r *bufio.Reader) (tables, error) {
	t := newTables()
	unmarshal := protodelim.UnmarshalOptions{MaxSize: maxRecordBytes}
	for count := uint64(0); ; count++ {
		record := &statev1.SnapshotRecord{}
		if err := unmarshal.UnmarshalFrom(r, record); err != nil {
			return tables{}, fmt.Errorf("%w: record %d: %w", ErrInvalid, count, noEOF(err))
		}
		done, err := t.load(count, record)
		if err != nil || done {
			return t, err
		}
	}
}

// noEOF turns a clean end into an unexpected one: only the end record ends a snapshot.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (t *tables) load(count uint64, record *statev1.SnapshotRecord) (done bool, err error) {
	if _, isHeader := record.GetRecord().(*statev1.SnapshotRecord_Header); isHeader != (count == 0) {
		return false, fmt.Errorf("%w: record %d: a snapshot has one header, in front", ErrInvalid, count)
	}
	switch r := record.GetRecord().(type) {
	case *statev1.SnapshotRecord_Header:
		if r.Header.GetVersion() > Version {
			return false, errUpgrade("snapshot version %d, known up to %d", r.Header.GetVersion(), Version)
		}
		t.revision, t.clusterID, t.eventsFloor = r.Header.GetRevision(), r.Header.GetClusterId(), r.Header.GetEventsFloor()
	case *statev1.SnapshotRecord_Member:
		t.members.put(r.Member.GetId(), r.Member)
	case *statev1.SnapshotRecord_Token:
		t.tokens.put(r.Token.GetId(), r.Token)
	case *statev1.SnapshotRecord_Image:
		t.images.put(r.Image.GetName(), r.Image)
	case *statev1.SnapshotRecord_Network:
		t.networks.put(r.Network.GetSpec().GetName(), r.Network)
	case *statev1.SnapshotRecord_SecurityGroup:
		t.groups.put(r.SecurityGroup.GetSpec().GetName(), r.SecurityGroup)
	case *statev1.SnapshotRecord_Host:
		t.hosts.put(r.Host.GetId(), r.Host)
	case *statev1.SnapshotRecord_Vm:
		t.putVM(r.Vm)
	case *statev1.SnapshotRecord_Volume:
		t.putVolume(r.Volume)
	case *statev1.SnapshotRecord_MetricSource:
		t.sources.put(r.MetricSource.GetSource().GetSpec().GetName(), r.MetricSource)
	case *statev1.SnapshotRecord_MetricDefinition:
		t.metrics.put(r.MetricDefinition.GetName(), r.MetricDefinition)
	case *statev1.SnapshotRecord_MetricForward:
		t.forwards.put(r.MetricForward.GetForward().GetSpec().GetName(), r.MetricForward)
	case *statev1.SnapshotRecord_MetricLimits:
		t.limits.put(limitsKey, r.MetricLimits)
	case *statev1.SnapshotRecord_Revoked:
		t.revoked.put(r.Revoked.GetId(), r.Revoked)
	case *statev1.SnapshotRecord_Request:
		t.putRequest(r.Request)
	case *statev1.SnapshotRecord_Template:
		t.templates.put(r.Template.GetName(), r.Template)
	case *statev1.SnapshotRecord_Event:
		t.events.put(eventKey(r.Event.GetRevision(), r.Event.GetIndex()), r.Event)
	case *statev1.SnapshotRecord_End:
		if r.End.GetRecords() != count {
			return false, fmt.Errorf("%w: %d records, the end record counts %d", ErrInvalid, count, r.End.GetRecords())
		}
		return true, nil
	default:
		return false, errUpgrade("snapshot record %d is of a kind not known here", count)
	}
	return false, nil
}
