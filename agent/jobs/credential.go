package jobs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/novacron/novacron/metric"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// secretOf finds what a source proves itself by; nil where it has no credential. What is read is in no error.
func secretOf(want *agentv1.MetricJob) (func() ([]byte, error), error) {
	switch ref := want.GetSpec().GetCredential().GetReference().(type) {
	case *novacronv1.MetricCredential_File:
		return func() ([]byte, error) { return readSecret(ref.File) }, nil
	case *novacronv1.MetricCredential_Environment:
		return func() ([]byte, error) {
			value, set := os.LookupEnv(ref.Environment)
			if !set || value == "" {
				return nil, fmt.Errorf("credential: the environment variable %s of the agent is not set: set it in the unit of the agent", ref.Environment)
			}
			return []byte(value), nil
		}, nil
	case *novacronv1.MetricCredential_Sealed:
		if problem := want.GetSecretProblem(); problem != "" {
			return nil, errors.New(problem)
		}
		secret := want.GetSecret()
		return func() ([]byte, error) { return bytes.Clone(secret), nil }, nil
	}
	return nil, nil
}

// readSecret reads a small file, without the end of its last line.
func readSecret(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("credential: %w: it has to lie on every host that may collect, readable to the agent", err)
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("credential: %s is no regular file: name the file with the secret", path)
	}
	content, err := io.ReadAll(io.LimitReader(file, metric.MaxSecretBytes+1))
	if err != nil {
		return nil, fmt.Errorf("credential: %w", err)
	}
	if len(content) > metric.MaxSecretBytes {
		return nil, fmt.Errorf("credential: %s has more than %d bytes: name the file with the secret alone", path, metric.MaxSecretBytes)
	}
	return bytes.TrimRight(content, "\r\n"), nil
}
