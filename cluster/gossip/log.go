package gossip

import (
	"bytes"
	"context"
	"log"
	"log/slog"
	"strings"

	"golang.org/x/time/rate"
)

// logLines is how many of memberlist's lines a second reach the log: it writes one for every bad packet, and anybody
// can send those.
const (
	logLines = 10
	logBurst = 100
)

// logWriter turns memberlist's lines into slog records.
type logWriter struct {
	logger *slog.Logger
	limit  *rate.Limiter
}

func newLogger(l *slog.Logger) *log.Logger {
	return log.New(&logWriter{logger: l, limit: rate.NewLimiter(logLines, logBurst)}, "", 0)
}

// Write logs one line "[LEVEL] memberlist: text".
func (w *logWriter) Write(line []byte) (int, error) {
	level, text := split(string(bytes.TrimSpace(line)))
	if w.logger.Enabled(context.Background(), level) && w.limit.Allow() {
		w.logger.Log(context.Background(), level, text, "source", "memberlist")
	}
	return len(line), nil
}

// split takes the level off. An error of memberlist is a warning here: one peer being unreachable is no error of ours.
func split(line string) (slog.Level, string) {
	for prefix, level := range map[string]slog.Level{
		"[DEBUG] ": slog.LevelDebug, "[INFO] ": slog.LevelInfo, "[WARN] ": slog.LevelWarn, "[ERR] ": slog.LevelWarn, "[ERROR] ": slog.LevelWarn,
	} {
		if text, ok := strings.CutPrefix(line, prefix); ok {
			return level, strings.TrimPrefix(text, "memberlist: ")
		}
	}
	return slog.LevelWarn, line
}
