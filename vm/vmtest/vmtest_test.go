package vmtest

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/vm"
)

// What is drawn stays valid and the same on its way through normalising, text and the wire.
func TestDrawnDefinitionsStayWhatTheyAre(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		def := vm.Normalise(Valid(Options{UEFI: true}).Draw(t, "definition"), vm.Defaults{})
		require.NoError(t, vm.Validate(def))
		require.Equal(t, def, vm.Normalise(def, vm.Defaults{}))
		require.Equal(t, def, vm.FromProto(vm.ToProto(def)))
		text, err := vm.Marshal(def)
		require.NoError(t, err)
		back, err := vm.ParseYAML(text)
		require.NoError(t, err)
		require.Equal(t, def, back)
	})
}
