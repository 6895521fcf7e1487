package durable

import "github.com/novacron/novacron/tsdb/chunk"

// Who reads the last minutes of a series needs few of the samples of its growing chunk, and would have to decode all. So
// the state of the chunk is written down at each resumeEvery-th sample, in the two places of the series in turn: one of
// them has at least as many samples behind it as five minutes have at 15 seconds.
const resumeEvery = 20

// resumes are both places of all series of a page. They are only a short cut: what the page has none for is read whole.
const (
	resumePlaces  = 2
	resumesOfPage = 32 << 10 // bytes, a power of two; what lies behind pageSize series is never touched
)

// markResume writes the state of a growing chunk down. The page is locked for writing.
func (h *head) markResume(s *series, id uint32) {
	at := s.open.Len() / resumeEvery % resumePlaces
	s.resumes &^= 1 << at
	p := h.pages.get(id)
	if p.resumes == 0 {
		number, _, err := h.resumes.take()
		if err != nil {
			return // writing says it where memory is needed
		}
		p.resumes = number
	}
	if s.open.MarkResume(h.resume(p, id, at)) {
		s.resumes |= 1 << at
	}
}

// resume is a place of a series; its page has places.
func (h *head) resume(p *page, id uint32, at int) []byte {
	from := (int(id%pageSize)*resumePlaces + at) * chunk.ResumeSize
	return h.resumes.at(p.resumes)[from : from+chunk.ResumeSize]
}

// tail copies the end of a growing chunk, from before minT on; false where no state before it is known. The page is
// locked.
func (h *head) tail(dst *chunk.Tail, p *page, s *series, id uint32, minT int64) bool {
	last := s.open.Len() / resumeEvery
	for n := last; n > 0 && n > last-resumePlaces; n-- {
		at := n % resumePlaces
		if s.resumes&(1<<at) == 0 {
			continue
		}
		mark := h.resume(p, id, at)
		if chunk.ResumeTime(mark) < minT {
			s.open.CopyTail(dst, h.buffers[s.class].at(s.buffer), mark, n*resumeEvery)
			return true
		}
	}
	return false
}
