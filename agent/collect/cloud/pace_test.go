package cloud

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestPaceSpreadsCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pace := NewPace("GetThings", 2, 3)
		began := time.Now()
		for range 7 {
			if err := pace.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("7 calls at 2 a second with 3 at once took %v, want 2s", took)
		}
	})
}

func TestPaceStaysClosedAsLongAsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pace := NewPace("GetThings", 100, 1)
		until := time.Now().Add(309 * time.Second)
		pace.Close(until)
		pace.Close(time.Now().Add(time.Second)) // an earlier time opens nothing

		ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
		defer cancel()
		var throttled *ThrottledError
		if err := pace.Wait(ctx); !errors.As(err, &throttled) || !throttled.Until.Equal(until) {
			t.Fatalf("a call before the time: %v, want a ThrottledError until %v", err, until)
		}
		if ctx.Err() != nil {
			t.Error("the refusal took until the deadline")
		}
		if err := pace.Wait(t.Context()); err != nil || !time.Now().Equal(until) {
			t.Errorf("without a deadline: %v at %v, want a call at %v", err, time.Now(), until)
		}
	})
}

func TestPaceEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pace := NewPace("GetThings", 1, 1)
		pace.Close(time.Now().Add(time.Hour))
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			time.Sleep(time.Minute)
			cancel()
		}()
		if err := pace.Wait(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
	})
}

func TestAccountsShareAPaceByAPI(t *testing.T) {
	var paces Paces
	one := paces.For("123", "GetThings", 1, 1)
	if paces.For("123", "GetThings", 9, 9) != one {
		t.Error("the same API of the same account has two paces")
	}
	if paces.For("456", "GetThings", 1, 1) == one || paces.For("123", "ListThings", 1, 1) == one {
		t.Error("another account or API has the same pace")
	}
}
