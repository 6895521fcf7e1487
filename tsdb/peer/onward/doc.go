// Package onward compares what forwards have sent with what was stored: in Prometheus, in VictoriaMetrics, and by the
// receiver of a later Prometheus that knows remote write 2.0.
package onward
