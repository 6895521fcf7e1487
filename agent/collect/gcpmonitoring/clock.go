package gcpmonitoring

import "time"

// clock corrects this machine's clock by what a server says, where the difference is more than a message takes.
type clock struct{ ahead time.Duration }

// maxSkew is what is taken for the time that a message takes.
const maxSkew = 5 * time.Second

// set notes the server's time, which is in whole seconds.
func (c *clock) set(server, here time.Time) {
	if c.ahead = server.Sub(here); c.ahead.Abs() <= maxSkew {
		c.ahead = 0
	}
}

func (c *clock) now() time.Time { return time.Now().Add(c.ahead) }
