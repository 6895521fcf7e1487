package rpc

// Page sizes of lists.
const (
	defaultPage = 100
	maxPage     = 1000
)

// page is how far one answer of a list goes.
type page struct {
	size int
	// last is the key of the last row taken: the next page starts after it.
	last string
}

func newPage(asked uint32) page {
	switch {
	case asked == 0:
		return page{size: defaultPage}
	case asked > maxPage:
		return page{size: maxPage}
	}
	return page{size: int(asked)}
}

func (p page) full(taken int) bool { return taken >= p.size }
