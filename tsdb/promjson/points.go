package promjson

// Points adds the points of one series after the other. It remembers how times are written: series of one answer mostly
// have the same ones in the same places. The zero value is ready.
type Points struct {
	times []timeText
}

// timeText is what begins a point.
type timeText struct {
	t    int64
	n    uint8
	text [31]byte
}

// maxTimes bounds the times that are remembered; it is as many as a query may have.
const maxTimes = 11_000

// AppendFloat adds the point of a place in its series, with its time in milliseconds and its value.
func (p *Points) AppendFloat(b []byte, place int, t int64, v float64) []byte {
	if place < len(p.times) && p.times[place].t == t {
		known := &p.times[place]
		return append(AppendNumber(append(b, known.text[:known.n]...), v), `"]`...)
	}
	from := len(b)
	b = append(AppendTime(append(b, '['), t), `,"`...)
	p.keep(place, t, b[from:])
	return append(AppendNumber(b, v), `"]`...)
}

func (p *Points) keep(place int, t int64, text []byte) {
	if place >= maxTimes || place > len(p.times) {
		return
	}
	if place == len(p.times) {
		p.times = append(p.times, timeText{})
	}
	next := &p.times[place]
	next.t, next.n = t, uint8(copy(next.text[:], text))
}
