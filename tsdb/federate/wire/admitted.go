package wire

import (
	"errors"
	"fmt"
	"time"
)

// maxAdmitted bounds the proofs that are remembered for the length of maxApart: about 200 a second.
const maxAdmitted = 1 << 16

// errAdmitted is that somebody asks again what was asked.
var errAdmitted = errors.New("the question has been answered by its proof already: ask it directly")

// admitted remembers the proofs that a shard has taken for as long as it would take them again. The zero value has none.
type admitted struct {
	// terms are by the time of the question, in lengths of maxApart: no more than three of them can be of questions that are
	// neither too old nor too new.
	terms map[int64]map[[sealedMore]byte]struct{}
}

// once notes a proof of a question that was asked at a time in ms, which the caller has found good. An error is that it is not
// the first time, or that there is no room to tell.
func (a *admitted) once(proof []byte, asked int64, now time.Time) error {
	const length = int64(maxApart / time.Millisecond)
	for term := range a.terms {
		if (term+1)*length < now.Add(-maxApart).UnixMilli() {
			delete(a.terms, term)
		}
	}
	term := asked / length
	of, id := a.terms[term], [sealedMore]byte(proof)
	if _, known := of[id]; known {
		return errAdmitted
	}
	if len(of) >= maxAdmitted {
		return fmt.Errorf("more than %d questions by way of other hosts in %s: ask directly", maxAdmitted, maxApart)
	}
	if of == nil {
		if a.terms == nil {
			a.terms = map[int64]map[[sealedMore]byte]struct{}{}
		}
		of = map[[sealedMore]byte]struct{}{}
		a.terms[term] = of
	}
	of[id] = struct{}{}
	return nil
}
