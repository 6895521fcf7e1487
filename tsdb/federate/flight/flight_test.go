package flight

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestManyShareOneValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group[string, int]
		var made, freed atomic.Int32
		work := func(context.Context) int {
			time.Sleep(time.Second)
			return int(made.Add(1))
		}
		var all sync.WaitGroup
		var firsts atomic.Int32
		for range 50 {
			all.Go(func() {
				f, first := g.Join(t.Context(), "k", work, func(int) { freed.Add(1) })
				if first {
					firsts.Add(1)
				}
				<-f.Done()
				assert.Equal(t, 1, f.Value())
				assert.Zero(t, freed.Load(), "somebody still has it")
				time.Sleep(time.Second)
				f.Leave()
			})
		}
		all.Wait()
		assert.EqualValues(t, 1, made.Load())
		assert.EqualValues(t, 1, firsts.Load())
		assert.EqualValues(t, 1, freed.Load())
		f, first := g.Join(t.Context(), "k", work, nil)
		assert.True(t, first, "what is there is not given to those who come later")
		<-f.Done()
		assert.Equal(t, 2, f.Value())
		f.Leave()
		assert.Empty(t, g.all)
	})
}

// TestWhoLeavesEndsNothingForOthers has the first one leave, then all but one.
func TestWhoLeavesEndsNothingForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group[string, error]
		work := func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				time.Sleep(time.Second) // it takes a while to end
				return ctx.Err()
			case <-time.After(time.Minute):
				return nil
			}
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		f, _ := g.Join(short, "k", work, nil)
		other, first := g.Join(t.Context(), "k", work, nil)
		require.False(t, first)
		<-short.Done()
		f.Leave()
		<-other.Done()
		require.NoError(t, other.Value())
		other.Leave()

		began := time.Now()
		var ended error
		f, _ = g.Join(t.Context(), "k", work, func(err error) { ended = err })
		f.Leave()
		assert.Equal(t, time.Second, time.Since(began), "the last one waits for the end")
		require.ErrorIs(t, ended, context.Canceled)
		assert.Empty(t, g.all)
	})
}

// TestNobodyJoinsWhatIsGivenUp joins while a flight that all have left is ending.
func TestNobodyJoinsWhatIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group[string, error]
		work := func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				time.Sleep(time.Minute)
				return ctx.Err()
			case <-time.After(time.Second):
				return nil
			}
		}
		f, _ := g.Join(t.Context(), "k", work, nil)
		go f.Leave()
		synctest.Wait()
		again, first := g.Join(t.Context(), "k", work, nil)
		require.True(t, first)
		<-again.Done()
		require.NoError(t, again.Value())
		again.Leave()
		<-f.Done()
	})
}

func TestAPanicIsThatOfThoseWhoAsked(t *testing.T) {
	var g Group[string, int]
	f, _ := g.Join(t.Context(), "k", func(context.Context) int { panic("odd") }, func(int) { t.Error("there is no value") })
	<-f.Done()
	assert.PanicsWithValue(t, f.panicked, func() { f.Value() })
	assert.Contains(t, f.panicked, "odd")
	f.Leave()
}

// TestEachValueIsFreedOnce has random riders come, wait or not, and leave.
func TestEachValueIsFreedOnce(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		type rider struct{ key, comes, patience int }
		var riders []rider
		for range rapid.IntRange(1, 12).Draw(r, "riders") {
			riders = append(riders, rider{rapid.IntRange(0, 1).Draw(r, "key"), rapid.IntRange(0, 9).Draw(r, "comes"), rapid.IntRange(1, 6).Draw(r, "patience")})
		}
		long := time.Duration(rapid.IntRange(1, 5).Draw(r, "long")) * time.Second
		synctest.Test(t, func(t *testing.T) {
			var g Group[int, *int]
			var mu sync.Mutex
			made, freed := map[*int]bool{}, map[*int]int{}
			work := func(ctx context.Context) *int {
				value := new(int)
				mu.Lock()
				made[value] = true
				mu.Unlock()
				select {
				case <-time.After(long):
					*value = 1
				case <-ctx.Done():
				}
				return value
			}
			free := func(value *int) {
				mu.Lock()
				defer mu.Unlock()
				freed[value]++
			}
			var all sync.WaitGroup
			for _, one := range riders {
				all.Go(func() {
					time.Sleep(time.Duration(one.comes)*time.Second + time.Millisecond)
					f, _ := g.Join(t.Context(), one.key, work, free)
					select {
					case <-f.Done():
						assert.Equal(t, 1, *f.Value(), "it was not ended while somebody waited")
					case <-time.After(time.Duration(one.patience) * time.Second):
					}
					f.Leave()
				})
			}
			all.Wait()
			synctest.Wait()
			assert.Empty(t, g.all)
			assert.Len(t, freed, len(made))
			for _, n := range freed {
				assert.Equal(t, 1, n)
			}
		})
	})
}
