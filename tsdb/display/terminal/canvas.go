package terminal

import "strings"

// canvas is a field of dots: eight in each character of braille, one in each of ASCII.
type canvas struct {
	width, height int // in characters
	ascii         bool
	cells         []spot
}

// spot is a character: its dots, and the series that set the last of them, counted from 1.
type spot struct {
	dots   rune
	series int
}

func newCanvas(width, height int, ascii bool) *canvas {
	return &canvas{width: width, height: height, ascii: ascii, cells: make([]spot, width*height)}
}

// size is that of the field in dots.
func (c *canvas) size() (width, height int) {
	if c.ascii {
		return c.width, c.height
	}
	return 2 * c.width, 4 * c.height
}

// brailleDots are the bits of the dots of a character, by row and column (Unicode, Braille Patterns).
var brailleDots = [4][2]rune{{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}}

// set makes a dot; the first row is the top one.
func (c *canvas) set(x, y, series int) {
	width, height := c.size()
	if x < 0 || y < 0 || x >= width || y >= height {
		return
	}
	column, row, bit := x, y, rune(1)
	if !c.ascii {
		column, row, bit = x/2, y/4, brailleDots[y%4][x%2]
	}
	cell := &c.cells[row*c.width+column]
	cell.dots |= bit
	cell.series = series + 1
}

// line joins two dots (J. E. Bresenham, Algorithm for computer control of a digital plotter, 1965).
func (c *canvas) line(x0, y0, x1, y1, series int) {
	dx, dy := abs(x1-x0), -abs(y1-y0)
	sx, sy := sign(x1-x0), sign(y1-y0)
	for err := dx + dy; ; {
		c.set(x0, y0, series)
		if x0 == x1 && y0 == y1 {
			return
		}
		twice := 2 * err
		if twice >= dy {
			err, x0 = err+dy, x0+sx
		}
		if twice <= dx {
			err, y0 = err+dx, y0+sy
		}
	}
}

// row is a line of characters.
func (c *canvas) row(i int, paint func(series int, text string) string) string {
	var b strings.Builder
	for _, cell := range c.cells[i*c.width : (i+1)*c.width] {
		switch {
		case cell.dots == 0:
			b.WriteByte(' ')
		case c.ascii:
			b.WriteString(paint(cell.series-1, letter(cell.series-1)))
		default:
			b.WriteString(paint(cell.series-1, string(0x2800+cell.dots)))
		}
	}
	return b.String()
}

// letter names a series in the picture and in its legend.
func letter(series int) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	return letters[series%len(letters) : series%len(letters)+1]
}

func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}
