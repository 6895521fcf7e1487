package cli

import (
	"strings"
	"time"

	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"google.golang.org/protobuf/types/known/durationpb"
)

// forwardFlags are those of a forward.
type forwardFlags struct {
	credentialFlags
	url, username, caFile string
	queueSize             size
	match, headers        []string
	labels                pairs
	protocol              uint32
	queueAge              duration
	clientCertificate     bool
}

func (f *forwardFlags) register(fs *pflag.FlagSet) {
	fs.StringVar(&f.url, "url", "", "`address` that takes remote write")
	fs.StringArrayVar(&f.match, "match", nil, "`selector` of series to send, in PromQL (repeatable: one has to match); all when left out")
	fs.Var(&f.labels, "label", "label of every series that does not have it (repeatable); cluster is added, cluster= leaves it out")
	fs.Uint32Var(&f.protocol, "protocol", 0, "newest `version` of remote write to speak: 1, or 2 which falls back to 1 (default 2)")
	fs.StringArrayVar(&f.headers, "header", nil, "header of every request as `NAME=VALUE` (repeatable); it is shown, so no place for a secret")
	fs.StringVar(&f.username, "username", "", "`name` to log in with; the credential is the password")
	fs.BoolVar(&f.clientCertificate, "client-certificate", false, "the credential is a certificate and its key, in PEM, one after the other")
	fs.StringVar(&f.caFile, "ca-file", "", "`file` here with the certificates, in PEM, that vouch for the remote")
	f.queueSize = size{parse: parseDiskBytes, unit: "B"}
	fs.Var(&f.queueSize, "queue-size", "most disk that the queue of a host takes, then the oldest samples go (default 1GiB); a plain number is GiB")
	fs.Var(&f.queueAge, "queue-age", "how long a sample may wait before it is given up, such as 7d (default as long as there is room)")
	f.registerCredential(fs)
}

// changeForward puts what was given into a definition, and gives the secret where there is one.
func (a *app) changeForward(cmd *cobra.Command, f *forwardFlags, spec *pb.MetricForwardSpec) (secret []byte, err error) {
	given := cmd.Flags().Changed
	put(given("url"), &spec.Url, f.url)
	put(given("match"), &spec.Match, f.match)
	put(given("label"), &spec.Labels, map[string]string(f.labels))
	put(given("protocol"), &spec.Protocol, f.protocol)
	put(given("username"), &spec.Username, f.username)
	put(given("client-certificate"), &spec.ClientCertificate, f.clientCertificate)
	if given("header") {
		if spec.Headers, err = headersOf(f.headers); err != nil {
			return nil, err
		}
	}
	put(given("queue-size"), &spec.QueueBytes, f.queueSize.value)
	if given("queue-age") {
		spec.QueueAge = nil
		if f.queueAge.Duration != 0 {
			spec.QueueAge = durationpb.New(time.Duration(f.queueAge.Duration))
		}
	}
	if given("ca-file") {
		pem, err := a.readInput(f.caFile)
		if err != nil {
			return nil, err
		}
		spec.CaPem = string(pem)
	}
	return a.changeCredential(given, &f.credentialFlags, spec.GetName(), &spec.Credential)
}

func headersOf(all []string) (map[string]string, error) {
	headers := map[string]string{}
	for _, one := range all {
		name, value, ok := strings.Cut(one, "=")
		if !ok || name == "" {
			return nil, usagef("--header %q: write NAME=VALUE, such as X-Scope-OrgID=us", one)
		}
		headers[name] = value
	}
	return headers, nil
}
