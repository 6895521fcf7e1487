package wire

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	agentv1 "github.com/novacron/novacron/proto/agent/v1"
)

// TestPiecesOfTwoAnswersAreNotOne, also where both are to the same question, by one proof.
func TestPiecesOfTwoAnswersAreNotOne(t *testing.T) {
	by, err := newSealer(make([]byte, keyBytes))
	require.NoError(t, err)
	proof := prove(by, nil)
	answer := func() (pieces [][]byte) {
		seal := newSealed(by, proof)
		for samples := range int64(2) {
			piece, err := seal.message(&agentv1.EvaluateResponse{Summary: &agentv1.EvaluateSummary{Samples: samples}})
			require.NoError(t, err)
			pieces = append(pieces, piece)
		}
		end, err := seal.last(nil)
		require.NoError(t, err)
		return append(pieces, end)
	}
	one, other := answer(), answer()
	for splice := range 1 << len(one) {
		reader, opened := newSealed(by, proof), 0
		for i := range one {
			piece := one[i]
			if splice>>i&1 == 1 {
				piece = other[i]
			}
			if _, _, err := reader.open(piece); err != nil {
				require.ErrorContains(t, err, "changed on its way")
				break
			}
			opened++
		}
		pure := splice == 0 || splice == 1<<len(one)-1
		require.Equal(t, pure, opened == len(one), "%03b", splice)
	}
}

// TestProofsAreTakenOnce, and remembered no longer than they could be taken again.
func TestProofsAreTakenOnce(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	k := newKeys(func() time.Time { return now })
	by, err := newSealer(k.key(k.number()))
	require.NoError(t, err)
	ask := func(asked time.Time) (again func() error) {
		proof, number := prove(by, questionData(nil, asked.UnixMilli())), k.number()
		again = func() error {
			_, err := k.admit(number, nil, asked.UnixMilli(), proof)
			return err
		}
		require.NoError(t, again())
		return again
	}
	for range 40 {
		asked := now
		all := []func() error{ask(asked.Add(-maxApart)), ask(asked), ask(asked.Add(maxApart))}
		require.LessOrEqual(t, len(k.admitted.terms), 3)
		for now = asked; now.Before(asked.Add(maxApart)); now = now.Add(time.Minute) {
			require.ErrorIs(t, all[1](), errAdmitted)
			require.ErrorIs(t, all[2](), errAdmitted)
		}
		require.ErrorContains(t, all[0](), "correct the clocks")
		by, err = newSealer(k.key(k.number()))
		require.NoError(t, err)
	}
}

// TestProofsAreBounded: one more than can be remembered is not taken.
func TestProofsAreBounded(t *testing.T) {
	var a admitted
	now := time.UnixMilli(1_700_000_000_000)
	proof := make([]byte, sealedMore)
	once := func(n uint64) error {
		binary.BigEndian.PutUint64(proof, n)
		return a.once(proof, now.UnixMilli(), now)
	}
	for n := range uint64(maxAdmitted) {
		require.NoError(t, once(n))
	}
	require.ErrorContains(t, once(maxAdmitted), "more than 65536 questions by way of other hosts in 5m0s")
	now = now.Add(maxApart)
	require.NoError(t, once(0))
	require.Len(t, a.terms, 2)
	now = now.Add(3 * maxApart)
	require.NoError(t, once(0))
	require.Len(t, a.terms, 1)
}
