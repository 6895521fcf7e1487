package rpc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"connectrpc.com/connect"

	"github.com/novacron/novacron/cluster/pki"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// HeaderCaller carries the caller's identity from the controller that was called to the leader. Only controllers are
// believed.
const HeaderCaller = "Novacron-Caller"

// HeaderControllers tells clients the API addresses of all controllers, so that they outlive the one they were told of.
const HeaderControllers = "Novacron-Controllers"

// RoleJoiner is the role of a connection that came in by the joining door: it has a token at most.
const RoleJoiner = pki.Role("joiner")

// Caller is who asks.
type Caller struct {
	pki.Identity
	// Forwarded is true when another controller passes the call on.
	Forwarded bool
	// Remote is the address of the connection.
	Remote string
}

// String is such as admin/alice.
func (c Caller) String() string { return string(c.Role) + "/" + c.Name }

type callerKey struct{}

func callerOf(ctx context.Context) Caller {
	caller, _ := ctx.Value(callerKey{}).(Caller)
	return caller
}

// identify finds out who calls, from the certificate alone.
func (s *Server) identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, err := identityOf(r)
		if err != nil {
			writeError(w, r, connect.NewError(connect.CodeUnauthenticated, err))
			return
		}
		r.Header.Del(HeaderCaller)
		if !caller.Role.IsNode() && caller.Role != RoleJoiner {
			w.Header().Set(HeaderControllers, strings.Join(s.controllers(), ","))
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, caller)))
	})
}

// controllers are the API addresses of all controllers.
func (s *Server) controllers() (addresses []string) {
	for _, member := range s.Store.View().Members() {
		if member.GetRole() == novacronv1.Role_ROLE_CONTROLLER {
			addresses = append(addresses, member.GetApiAddress())
		}
	}
	return addresses
}

func identityOf(r *http.Request) (Caller, error) {
	if pki.IsJoin(r.TLS) {
		return Caller{Identity: pki.Identity{Role: RoleJoiner, Name: r.RemoteAddr}, Remote: r.RemoteAddr}, nil
	}
	id, err := pki.PeerIdentity(r.TLS)
	if err != nil {
		return Caller{}, fmt.Errorf("%w: use a client certificate of this cluster", err)
	}
	claimed := r.Header.Get(HeaderCaller)
	if claimed == "" || id.Role != pki.RoleController {
		return Caller{Identity: id, Remote: r.RemoteAddr}, nil
	}
	caller, err := parseCaller(claimed)
	caller.ClusterID, caller.Forwarded = id.ClusterID, true
	return caller, err
}

// encodeCaller and parseCaller write role/node id/name@remote; names and ids hold none of the separators.
func encodeCaller(c Caller) string {
	return fmt.Sprintf("%s/%s/%s@%s", c.Role, c.NodeID, strings.ReplaceAll(c.Name, "@", ""), c.Remote)
}

func parseCaller(text string) (Caller, error) {
	identity, remote, ok := strings.Cut(text, "@")
	parts := strings.Split(identity, "/")
	if !ok || len(parts) != 3 {
		return Caller{}, errors.New("forwarded caller is malformed")
	}
	return Caller{Identity: pki.Identity{Role: pki.Role(parts[0]), NodeID: parts[1], Name: parts[2]}, Remote: remote}, nil
}
