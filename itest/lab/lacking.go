package lab

import "os"

// test is what Lacks needs of a test or benchmark.
type test interface {
	Helper()
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Lacks ends a test that lacks a guest or a program. In CI, on a machine that can run a lab, that is a failure: a skip would
// pass for a test.
func Lacks(t test, what string, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" && Supported() == nil {
		t.Fatalf("no %s: %v", what, err)
	}
	t.Skipf("no %s: %v", what, err)
}
