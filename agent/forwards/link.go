package forwards

import (
	"bytes"
	"net/http"

	"google.golang.org/protobuf/proto"

	agentv1 "github.com/novacron/novacron/proto/agent/v1"
)

// link is how a remote is reached, with the connections to it.
type link struct {
	job       *agentv1.MetricForwardJob
	transport *http.Transport
	authorise func(*http.Request) error
}

// renew is the link of a job: the same one while nothing has changed of whom it goes to and of how we prove who we are, so
// that its connections serve on. There may be none yet.
func (l *link) renew(job *agentv1.MetricForwardJob) (*link, error) {
	if l != nil && l.serves(job) {
		return l, nil
	}
	transport, authorise, err := connect(job)
	if err != nil {
		return nil, err
	}
	return &link{job, transport, authorise}, nil
}

func (l *link) serves(job *agentv1.MetricForwardJob) bool {
	was, is := l.job.GetSpec(), job.GetSpec()
	return was.GetUrl() == is.GetUrl() && was.GetCaPem() == is.GetCaPem() && was.GetUsername() == is.GetUsername() &&
		was.GetClientCertificate() == is.GetClientCertificate() && proto.Equal(was.GetCredential(), is.GetCredential()) && bytes.Equal(l.job.GetSecret(), job.GetSecret())
}
