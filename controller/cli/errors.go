package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"connectrpc.com/connect"
	"github.com/novacron/novacron/vm"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Exit statuses of the command line.
const (
	exitDone     = 0
	exitFailed   = 1
	exitUsage    = 2
	exitUnplaced = 3
)

// usageError is a command line that cannot be understood.
type usageError struct {
	err  error
	hint string
}

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// usagef is a usage error that tells the way out itself.
func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...), ""}
}

// UsageErrorf is for the commands that the program adds: its process ends with the status of bad usage.
func UsageErrorf(format string, args ...any) error { return usagef(format, args...) }

// flagError is cobra's hook for flags that do not parse.
func flagError(cmd *cobra.Command, err error) error {
	return usageError{flagFault(err), fmt.Sprintf("`%s --help` lists the flags", cmd.CommandPath())}
}

// flagFault tells the flag and its value once, and nothing of Go's parsers.
func flagFault(err error) error {
	bad, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return err
	}
	flag, value, cause := "--"+bad.GetFlag().Name, strconv.Quote(bad.GetValue()), bad.Unwrap()
	if wrong, is := errors.AsType[*strconv.NumError](cause); is {
		return fmt.Errorf("%s %s: %s", flag, value, numberFault(wrong, bad.GetFlag().Value.Type()))
	}
	if strings.HasPrefix(cause.Error(), value) {
		return fmt.Errorf("%s %w", flag, cause)
	}
	return fmt.Errorf("%s %s: %w", flag, value, cause)
}

// numberFault says what a flag of Go's type takes.
func numberFault(wrong *strconv.NumError, kind string) string {
	switch {
	case errors.Is(wrong, strconv.ErrRange):
		return "the number is too large"
	case kind == "bool":
		return "use true or false"
	case strings.HasPrefix(kind, "float"):
		return "give a number"
	}
	return "give a whole number"
}

// earlyFlagError marks what is wrong with flags before the noun, for which cobra has no hook.
func earlyFlagError(err error) error {
	_, value := errors.AsType[*pflag.InvalidValueError](err)
	_, missing := errors.AsType[*pflag.ValueRequiredError](err)
	_, unknown := errors.AsType[*pflag.NotExistError](err)
	_, syntax := errors.AsType[*pflag.InvalidSyntaxError](err)
	if _, told := errors.AsType[usageError](err); told || !value && !missing && !unknown && !syntax {
		return err
	}
	return usageError{flagFault(err), "`novacron --help` lists the flags"}
}

// fault is an error told in full: what went wrong, the particulars, and the way out.
type fault struct {
	what    string
	details []string
	hint    string
	cause   error
	// unplaced marks an accepted request that no host fits yet.
	unplaced bool
}

func (f *fault) Error() string { return strings.Join(append([]string{f.what}, f.details...), "\n") }
func (f *fault) Unwrap() error { return f.cause }

// several are the errors of independent parts of one command, such as several names.
type several []error

func (s several) Error() string { return errors.Join(s...).Error() }

// joined is nil without errors, and the error itself when there is one.
func joined(errs []error) error {
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	return several(errs)
}

// ExitCode is the status that the process shall end with: 0 done, 1 failed, 2 bad usage, 3 accepted but not yet placed.
func ExitCode(err error) int {
	if err == nil {
		return exitDone
	}
	err = earlyFlagError(err)
	if parts, ok := errors.AsType[several](err); ok {
		return exitCodes(parts)
	}
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	if f, ok := errors.AsType[*fault](err); ok && f.unplaced {
		return exitUnplaced
	}
	return exitFailed
}

// exitCodes judges several errors: one real failure outweighs any number of machines that still wait for a host.
func exitCodes(parts several) int {
	for _, err := range parts {
		if code := ExitCode(err); code != exitUnplaced {
			return code
		}
	}
	return exitUnplaced
}

// PrintError tells the user what went wrong: one line, then indented particulars and the way out.
func PrintError(s IO, err error) {
	if parts, ok := errors.AsType[several](err); ok {
		for _, part := range parts {
			PrintError(s, part)
		}
		return
	}
	if err != nil {
		writeFault(s.Err, explain(err))
	}
}

func writeFault(w io.Writer, f *fault) {
	label := "error"
	if f.unplaced {
		label = "not placed"
	}
	fmt.Fprintf(w, "%s: %s\n", label, clean(f.what))
	for _, line := range f.details {
		fmt.Fprintf(w, "  %s\n", clean(line))
	}
	if f.hint != "" {
		fmt.Fprintf(w, "  hint: %s\n", clean(f.hint))
	}
}

// explain turns any error into a fault.
func explain(err error) *fault {
	err = earlyFlagError(err)
	if f, ok := errors.AsType[*fault](err); ok {
		return f.prefixed(err)
	}
	if usage, ok := errors.AsType[usageError](err); ok {
		return split(usage.Error(), usage.hint)
	}
	if answer, ok := errors.AsType[*connect.Error](err); ok {
		return explainAnswer(err, answer)
	}
	if faults, ok := errors.AsType[vm.Faults](err); ok {
		return splitFaults(err, faults)
	}
	if errors.Is(err, context.Canceled) {
		return &fault{what: "interrupted", cause: err}
	}
	return split(err.Error(), "")
}

// prefixed keeps the words that callers have wrapped around f, such as the name of the machine.
func (f *fault) prefixed(outer error) *fault {
	prefix, found := strings.CutSuffix(outer.Error(), f.Error())
	if !found {
		return f
	}
	g := *f
	g.what = prefix + f.what
	return &g
}

// explainAnswer tells what a controller answered, without the code that the words already say.
func explainAnswer(err error, answer *connect.Error) *fault {
	text := strings.Replace(err.Error(), answer.Error(), answer.Message(), 1)
	if answer.Code() == connect.CodeInvalidArgument {
		return splitRefusal(text)
	}
	f := split(text, wayOut(answer.Code()))
	f.cause = err
	return f
}

// splitRefusal lists the faults of a refused definition, one a line.
func splitRefusal(text string) *fault {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if len(lines) == 1 {
		return &fault{what: text}
	}
	return &fault{what: fmt.Sprintf("refused for %d reasons", len(lines)), details: trimmed(lines)}
}

// splitFaults lists the faults of a definition that was read or checked here.
func splitFaults(err error, faults vm.Faults) *fault {
	f := splitRefusal(faults.Error())
	f.what = strings.TrimSuffix(err.Error(), faults.Error()) + f.what
	return f
}

// split makes the first line of a text the headline and the others its particulars.
func split(text, hint string) *fault {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return &fault{what: lines[0], details: trimmed(lines[1:]), hint: hint}
}

func trimmed(lines []string) []string {
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return lines
}

// wayOut says what a user can do about an answer of this kind; most answers say so themselves.
func wayOut(code connect.Code) string {
	switch code {
	case connect.CodeUnauthenticated:
		return "the cluster does not accept this certificate; `novacron config show` tells when it ends, `novacron cluster join` gets a new one"
	case connect.CodePermissionDenied:
		return "the role of this context's certificate does not allow that; `novacron config show` tells the role"
	case connect.CodeDeadlineExceeded:
		return "raise --timeout, or see `novacron cluster health`"
	case connect.CodeUnimplemented:
		return "the cluster runs another version; see `novacron cluster health`"
	}
	return ""
}
