// Package bench measures the shard beside Prometheus's tsdb and VictoriaMetrics on the same samples, in one run.
//
// It holds only tests: `make bench-tsdb` runs it, which takes about ten minutes; with NOVACRON_BENCH_SCALE=small a minute.
// Each store runs in a process of its own, so that its memory and its processors are its own; all answer in turns, round
// by round. Figures are the time of the processor where one is used, of several rounds the least, and that of the clock
// where two are; less is better in all of them, and a ratio above 1 says that ours is better. What the head answers hangs
// on how many samples its growing chunks have: the time ends at 120 of 120 in the first part, at 40 in the others.
package bench
