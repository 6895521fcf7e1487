package block

import (
	"fmt"
	"sync"

	"github.com/google/uuid"
	"github.com/prometheus/prometheus/model/labels"
)

// DamageError is bytes of a block that are not what was written. All else in the block can still be read.
type DamageError struct {
	Block uuid.UUID
	// Series is the ordinal of the series in the block's index, Labels its labels where they are known. Damage of all
	// series has neither.
	Series uint32
	Labels string
	// File and Offset are where the damaged bytes begin; for a series in the index, the offset is -1.
	File   string
	Offset int64
	Err    error
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("block %s is damaged: series %d %s, %s at %d: %v; run a verification, and restore the file or delete the range",
		e.Block, e.Series, e.Labels, e.File, e.Offset, e.Err)
}

func (e *DamageError) Unwrap() error { return e.Err }

// damageKept bounds the list of damages that a block remembers.
const damageKept = 100

// quarantine remembers which bytes of a block are damaged.
type quarantine struct {
	mu    sync.Mutex
	seen  map[damagePlace]*DamageError
	order []*DamageError
	reads uint64
}

type damagePlace struct {
	file   string
	offset int64
	series uint32
}

// add counts a damage, and remembers it once.
func (q *quarantine) add(damage *DamageError) *DamageError {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.reads++
	place := damagePlace{damage.File, damage.Offset, damage.Series}
	if known := q.seen[place]; known != nil {
		return known
	}
	if q.seen == nil {
		q.seen = map[damagePlace]*DamageError{}
	}
	if len(q.order) < damageKept {
		q.seen[place] = damage
		q.order = append(q.order, damage)
	}
	return damage
}

// Damage tells which damaged places reads have met, the first hundred of them, and how often any was met.
func (b *Block) Damage() (places []*DamageError, reads uint64) {
	b.quarantine.mu.Lock()
	defer b.quarantine.mu.Unlock()
	return append(places, b.quarantine.order...), b.quarantine.reads
}

// damaged makes and counts the error for a place in the chunks.
func (b *Block) damaged(series uint32, place uint64, why error) error {
	return b.note(&DamageError{Series: series, File: segmentName(segmentOf(place)), Offset: offsetOf(place), Err: why})
}

// damagedEntry is damaged for what the index has of a series.
func (b *Block) damagedEntry(series uint32, why error) error {
	return b.note(&DamageError{Series: series, File: indexName, Offset: -1, Err: why})
}

func (b *Block) note(damage *DamageError) error {
	damage.Block = b.meta.ID
	var builder labels.ScratchBuilder
	if lset, _, err := b.index.Series(&builder, damage.Series, nil); err == nil {
		damage.Labels = lset.String()
	}
	return b.quarantine.add(damage)
}
