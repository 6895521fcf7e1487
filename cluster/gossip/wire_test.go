package gossip

import (
	"encoding/hex"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// The bytes on the wire of format 1: nodes of this release and the next talk to each other.
func TestMetaFormat1(t *testing.T) {
	const wire = "01" + "0110" + "000102030405060708090a0b0c0d0e0f" + "0205" + "6167656e74" + "0305" + "312e322e33" + "0400"
	m := meta{id: uuid.MustParse("00010203-0405-0607-0809-0a0b0c0d0e0f"), role: "agent", version: "1.2.3", leaving: true}
	b, err := m.encode()
	require.NoError(t, err)
	require.Equal(t, wire, hex.EncodeToString(b))
	back, err := decodeMeta(b)
	require.NoError(t, err)
	require.Equal(t, m, back)
}

func TestNoFalseDeathsOnALossyNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 12, 3)
		f.net.Loss(0.1)
		var r recorder
		for _, g := range f.nodes {
			defer g.Subscribe(r.add)()
		}
		within(t, 30*time.Second, f.allSee(12))
		<-time.After(3 * time.Minute)
		require.True(t, f.allSee(12)())
		for _, e := range r.events {
			require.NotEqual(t, EventFailed, e.Type)
		}
		f.close()
	})
}
