package rpc

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"connectrpc.com/connect"

	"github.com/novacron/novacron/cluster/node"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// HeaderConsistency chooses how fresh a read is: ConsistencyLinearizable (the default), ConsistencyLeader or
// ConsistencyStale.
const HeaderConsistency = "Novacron-Consistency"

// Linearizable reads see every write that was acknowledged before. Leader reads skip the proof that the leader still
// leads. Stale reads are answered by the controller that is called, whatever it knows.
const (
	ConsistencyLinearizable = "linearizable"
	ConsistencyLeader       = "leader"
	ConsistencyStale        = "stale"
)

const (
	// electionPatience is how long a call waits for the cluster to have a leader.
	electionPatience = 5 * time.Second
	electionPoll     = 25 * time.Millisecond
)

// forward answers a call here when it may be, and has the leader answer it otherwise. It is the only place that knows
// about the way to the leader.
func (s *Server) forward(next http.Handler) http.Handler {
	table, proxy := newTable(), s.proxy()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local, target, err := s.route(r, table.of(r.URL.Path).at)
		switch {
		case err != nil:
			writeError(w, r, err)
		case local:
			next.ServeHTTP(w, r)
		default:
			proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), targetKey{}, target)))
		}
	})
}

type targetKey struct{}

func (s *Server) proxy() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Transport:     s.Peers.Transport,
		FlushInterval: -1, // streams are passed on as they come
		ErrorLog:      nil,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(p.In.Context().Value(targetKey{}).(*url.URL))
			p.Out.Header.Set(HeaderCaller, encodeCaller(callerOf(p.In.Context())))
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			writeError(w, r, connect.NewError(connect.CodeUnavailable, fmt.Errorf("the leader cannot be reached from this controller: %w: try again", err)))
		},
	}
}

func (s *Server) route(r *http.Request, at place) (local bool, target *url.URL, err error) {
	consistency := r.Header.Get(HeaderConsistency)
	switch consistency {
	case "", ConsistencyLinearizable, ConsistencyLeader, ConsistencyStale:
	default:
		return false, nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("consistency %q: must be %s, %s or %s",
			consistency, ConsistencyLinearizable, ConsistencyLeader, ConsistencyStale))
	}
	if at == here || at == read && consistency == ConsistencyStale {
		return true, nil, nil
	}
	leads, err := s.awaitLeader(r.Context())
	if err != nil {
		return false, nil, err
	}
	if leads.GetId() != s.Self.NodeID {
		if callerOf(r.Context()).Forwarded {
			return false, nil, connect.NewError(connect.CodeUnavailable, fmt.Errorf("leadership moved to %s meanwhile: try again", leads.GetName()))
		}
		return false, &url.URL{Scheme: "https", Host: leads.GetApiAddress()}, nil
	}
	if at == read && consistency != ConsistencyLeader {
		err = s.Consensus.ReadIndex(r.Context())
	}
	return true, nil, toConnect(err)
}

// awaitLeader gives the leader, waiting through an election. This controller is its own leader once it is up to date.
func (s *Server) awaitLeader(ctx context.Context) (*novacronv1.Member, error) {
	ctx, cancel := context.WithTimeout(ctx, electionPatience)
	defer cancel()
	ticker := time.NewTicker(electionPoll)
	defer ticker.Stop()
	for {
		if s.Consensus.IsLeader() {
			return &novacronv1.Member{Id: s.Self.NodeID, Name: s.Self.Name}, nil
		}
		if id, _ := s.Consensus.Leader(); id != "" && id != s.Self.NodeID {
			if member, ok := s.Store.View().Member(id); ok {
				return member, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, connect.NewError(connect.CodeUnavailable, fmt.Errorf(
				"no leader: controller %s sees no majority of the controllers, so nothing can be changed through it: reconnect the controllers or ask another one; reads work with --consistency %s",
				s.Self.Name, ConsistencyStale))
		case <-ticker.C:
		}
	}
}

// memberURL is the base of a member's API.
func memberURL(address string) string { return node.URL(address) }
