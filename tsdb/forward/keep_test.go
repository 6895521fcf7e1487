package forward

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// leftBehind is a world whose queue has samples that were not sent, and that was closed.
func leftBehind(t *testing.T, change ...func(*world)) *world {
	w := newWorld(t, append(change, func(w *world) {
		w.remote.answer = func(int, int, context.Context) *http.Response { return respond(503, "") }
	})...)
	w.set.Stored(floats(10, 1))
	w.close()
	require.Equal(t, int64(10), w.status().Pending)
	w.remote.answer = nil
	return w
}

// TestAFolderWithoutItsTarget is what a crash leaves while a forward is deleted: nobody gets what it has.
func TestAFolderWithoutItsTarget(t *testing.T) {
	for name, text := range map[string]string{"none": "", "half": `{"version":1,"i`, "of nothing": "{}"} {
		for id := uint64(7); id <= 8; id++ {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := leftBehind(t)
					path := filepath.Join(w.set.dir("mimir"), keptFile)
					require.NoError(t, os.Remove(path))
					if text != "" {
						require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
					}
					w.target.ID = id
					w.open()
					pass(time.Minute)
					require.Empty(t, w.remote.all())
					w.set.Stored(floats(10, 2))
					w.close()
					require.Equal(t, sent(floats(10, 2).Points), w.remote.all())
				})
			})
		}
	}
}

// TestFoldersOfNobodyGo at the start, where their deletion had begun, and else once it is known who there is.
func TestFoldersOfNobodyGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := leftBehind(t)
		require.NoError(t, os.Remove(filepath.Join(w.set.dir("mimir"), keptFile)))
		for _, name := range []string{"old.gone", "not.ours.gone"} {
			require.NoError(t, os.MkdirAll(filepath.Join(w.dir, name, "log"), 0o700))
		}
		set, err := Open(w.set.options)
		require.NoError(t, err)
		require.NoDirExists(t, filepath.Join(w.dir, "old.gone"))
		require.DirExists(t, filepath.Join(w.dir, "not.ours.gone"))
		require.DirExists(t, set.dir("mimir"), "its target may be told yet")
		set.Configure(nil)
		require.NoDirExists(t, set.dir("mimir"))
		require.NoError(t, set.Close(t.Context()))
	})
}

// TestDeletingBegunTwice holds that what one deletion has left does not stop the next.
func TestDeletingBegunTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		require.NoError(t, os.MkdirAll(filepath.Join(w.dir, "mimir.gone", "log"), 0o700))
		w.set.Configure(nil)
		left, err := os.ReadDir(w.dir)
		require.NoError(t, err)
		require.Empty(t, left)
		w.close()
	})
}

// TestAFolderOfALaterRelease is left as it is, wanted or not.
func TestAFolderOfALaterRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := leftBehind(t)
		path := filepath.Join(w.set.dir("mimir"), keptFile)
		require.NoError(t, os.WriteFile(path, []byte(`{"version":2,"id":"a name"}`), 0o600))
		before, err := os.ReadDir(filepath.Join(w.set.dir("mimir"), "log"))
		require.NoError(t, err)
		for id := uint64(7); id <= 8; id++ {
			w.target.ID = id
			w.open()
			w.set.Stored(floats(10, 2))
			pass(time.Minute)
			require.Contains(t, w.status().Error, "is of version 2, known is 1: upgrade this node")
			w.set.Configure(nil)
			w.close()
		}
		require.Empty(t, w.remote.all())
		require.FileExists(t, path)
		after, err := os.ReadDir(filepath.Join(w.set.dir("mimir"), "log"))
		require.NoError(t, err)
		require.Len(t, after, len(before))
	})
}

// TestANameThatIsNoFolder neither makes nor deletes what lies outside.
func TestANameThatIsNoFolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.target.Name = "../beside" })
		beside := filepath.Join(w.dir, "../beside")
		require.NoDirExists(t, beside)
		require.NoError(t, os.Mkdir(beside, 0o700))
		w.set.Configure(nil)
		require.DirExists(t, beside)
		w.close()
	})
}

// TestADefinitionThatCannotBeRead leaves what is queued as it was, however often it is told, and at the next start.
func TestADefinitionThatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.target.Match = []string{`{i=~"[0-4]"}`} })
		good := w.target
		w.target.Match, w.target.Generation = []string{"{of a later release"}, 2
		w.set.Configure([]Target{w.target})
		first := w.set.list()["mimir"]
		w.set.Configure([]Target{w.target})
		w.set.Configure([]Target{w.target})
		require.Same(t, first, w.set.list()["mimir"], "the same is no change")
		w.set.Stored(floats(10, 1))
		pass(time.Minute)
		require.Equal(t, int64(5), w.status().Pending)
		require.Contains(t, w.status().Error, "selector")
		require.Empty(t, w.remote.all())
		w.close()

		w.open()
		w.set.Stored(floats(10, 2))
		pass(time.Minute)
		require.Empty(t, w.remote.all())
		good.Generation = 3
		w.set.Configure([]Target{good})
		pass(time.Minute)
		require.Len(t, w.remote.all(), 10)
		w.close()
	})
}
