package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/spf13/pflag"
)

// credentialFlags say what to prove itself by.
type credentialFlags struct {
	secretFile, file, environment string
	secretPrompt, noCredential    bool
}

func (f *credentialFlags) registerCredential(fs *pflag.FlagSet) {
	fs.StringVar(&f.secretFile, "secret-file", "", "`file` here with a secret for the cluster to seal; - is standard input")
	fs.BoolVar(&f.secretPrompt, "secret-prompt", false, "ask for a secret for the cluster to seal")
	fs.StringVar(&f.file, "credential-file", "", "`file` on the hosts with the credential")
	fs.StringVar(&f.environment, "credential-env", "", "`variable` of the agents with the credential")
	fs.BoolVar(&f.noCredential, "no-credential", false, "prove itself as the host does by itself, or not at all")
}

// changeCredential gives the secret to seal, or sets the reference. A secret is never an argument: those are seen by every
// user of the machine.
func (a *app) changeCredential(given func(string) bool, f *credentialFlags, name string, credential **pb.MetricCredential) (secret []byte, err error) {
	chosen := 0
	for _, flag := range []string{"secret-file", "secret-prompt", "credential-file", "credential-env", "no-credential"} {
		if given(flag) {
			chosen++
		}
	}
	if chosen > 1 {
		return nil, usagef("--secret-file, --secret-prompt, --credential-file, --credential-env and --no-credential: give one of them")
	}
	switch {
	case given("secret-file"):
		secret, err = a.readInput(f.secretFile)
		secret = bytes.TrimRight(secret, "\r\n")
	case given("secret-prompt"):
		secret, err = a.askSecret("Secret of " + name + ": ")
	case given("credential-file"):
		*credential = &pb.MetricCredential{Reference: &pb.MetricCredential_File{File: f.file}}
		return nil, nil
	case given("credential-env"):
		*credential = &pb.MetricCredential{Reference: &pb.MetricCredential_Environment{Environment: f.environment}}
		return nil, nil
	case given("no-credential"):
		*credential = nil
		return nil, nil
	default:
		return nil, nil
	}
	if err == nil && len(secret) == 0 {
		err = usagef("the secret is empty")
	}
	*credential = &pb.MetricCredential{Reference: &pb.MetricCredential_Sealed{Sealed: &pb.SealedSecret{}}}
	return secret, err
}

// maxSecretLine bounds what is typed.
const maxSecretLine = 4096

// askSecret reads a line that is not shown.
func (a *app) askSecret(question string) ([]byte, error) {
	if !a.io.InTTY || a.io.MakeRaw == nil {
		return nil, usageError{errors.New("there is no terminal to ask on for the secret"), "use --secret-file, - is standard input"}
	}
	fmt.Fprint(a.io.Err, clean(question))
	restore, err := a.io.MakeRaw()
	if err != nil {
		return nil, err
	}
	line, err := readLine(a.io.In)
	if err = errors.Join(err, restore()); err != nil {
		return nil, err
	}
	fmt.Fprintln(a.io.Err)
	return line, nil
}

// readLine reads up to the end of a line; an interrupt is as good as none.
func readLine(in io.Reader) (line []byte, err error) {
	const interrupt, backspace, del = 3, 8, 127
	for one := make([]byte, 1); len(line) < maxSecretLine; {
		if _, err := io.ReadFull(in, one); err != nil {
			if errors.Is(err, io.EOF) {
				return line, nil
			}
			return nil, err
		}
		switch one[0] {
		case '\r', '\n':
			return line, nil
		case interrupt:
			return nil, &fault{what: "nothing was done"}
		case backspace, del:
			line = line[:max(0, len(line)-1)]
		default:
			line = append(line, one[0])
		}
	}
	return nil, fmt.Errorf("more than %d characters: use --secret-file", maxSecretLine)
}
