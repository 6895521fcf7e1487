package index

// Having is how many live series have a label with this value.
func (m *Mem) Having(name, value string) int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	p := m.dict.find(name, value)
	if p == 0 {
		return 0
	}
	return int(m.dict.pairs.at(p).count())
}

// Sketch estimates how many different hashes it was given, with a standard error of 1.2 %. Its bytes are its registers,
// SketchBytes of them; equal sets of hashes give equal sketches on every machine.
type Sketch []uint8

// SketchBytes is the length of a Sketch.
const SketchBytes = 1 << sketchBits

// NewSketch has seen nothing.
func NewSketch() Sketch { return Sketch(newSketch()) }

// Add counts a hash whose bits are evenly spread.
func (s Sketch) Add(hash uint64) { sketch(s).add(hash) }

// Merge adds all that another sketch has seen.
func (s Sketch) Merge(other Sketch) { sketch(s).merge(sketch(other)) }

// Estimate is about how many different hashes there were.
func (s Sketch) Estimate() uint64 { return sketch(s).estimate() }
