// Package chunk holds the codecs of samples: bytes from columns of times and values and back, without any input or output.
package chunk
