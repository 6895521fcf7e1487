package terminal

import "errors"

// ErrEmpty says that there is nothing to draw.
var ErrEmpty = errors.New("the answer is empty: nothing to draw")
