package env

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/cluster/pki"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/proto/novacron/v1/novacronv1connect"
)

// Client calls one controller with one identity.
type Client struct {
	// Address is the controller's API, host:port; HTTP dials it, or any other member, with the client's certificate.
	Address string
	HTTP    *http.Client

	VMs     novacronv1connect.VMServiceClient
	Images  novacronv1connect.ImageServiceClient
	Hosts   novacronv1connect.HostServiceClient
	Cluster novacronv1connect.ClusterServiceClient
	Storage novacronv1connect.StorageServiceClient

	Templates novacronv1connect.TemplateServiceClient
	Metrics   novacronv1connect.MetricServiceClient
	Events    novacronv1connect.EventServiceClient
}

// Consistency makes every read of a client as fresh as the word says; see controller/rpc.
func Consistency(word string) connect.ClientOption {
	return connect.WithInterceptors(connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
			request.Header().Set("Novacron-Consistency", word)
			return next(ctx, request)
		}
	}))
}

// Client makes a client of the controller with that name; "" means any that runs.
func (c *Cluster) Client(who pki.Material, controller string, options ...connect.ClientOption) (*Client, error) {
	member := c.Member(controller)
	if controller == "" {
		member = c.anyController()
	}
	if member == nil {
		return nil, fmt.Errorf("controller %q does not run", controller)
	}
	creds, err := pki.NewCredentials(who, pki.Options{})
	if err != nil {
		return nil, err
	}
	client := newClient(node.HTTPClient(creds.ClientTLS(pki.RoleController, pki.RoleAgent)), member.Config.API, options...)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clients = append(c.clients, client)
	return client, nil
}

func newClient(dialer *http.Client, address string, options ...connect.ClientOption) *Client {
	url := node.URL(address)
	return &Client{
		Address: address, HTTP: dialer,
		VMs:     novacronv1connect.NewVMServiceClient(dialer, url, options...),
		Images:  novacronv1connect.NewImageServiceClient(dialer, url, options...),
		Hosts:   novacronv1connect.NewHostServiceClient(dialer, url, options...),
		Cluster: novacronv1connect.NewClusterServiceClient(dialer, url, options...),
		Storage: novacronv1connect.NewStorageServiceClient(dialer, url, options...),

		Templates: novacronv1connect.NewTemplateServiceClient(dialer, url, options...),
		Metrics:   novacronv1connect.NewMetricServiceClient(dialer, url, options...),
		Events:    novacronv1connect.NewEventServiceClient(dialer, url, options...),
	}
}

func (c *Cluster) anyController() *Member {
	for _, member := range c.Members(pki.RoleController) {
		if member.Running() {
			return member
		}
	}
	return nil
}

// AdminMaterial proves the first administrator.
func (c *Cluster) AdminMaterial() pki.Material { return c.admin }

// Admin is the first administrator at the controller with that name; "" means any that runs.
func (c *Cluster) Admin(controller string, options ...connect.ClientOption) (*Client, error) {
	return c.Client(c.admin, controller, options...)
}

// Token asks for a join token. No ttl means the longest, no name any node.
func (c *Cluster) Token(ctx context.Context, request *novacronv1.CreateTokenRequest) (string, error) {
	admin, err := c.Admin("")
	if err != nil {
		return "", err
	}
	answer, err := admin.Cluster.CreateToken(ctx, connect.NewRequest(request))
	if err != nil {
		return "", fmt.Errorf("make a token: %w", err)
	}
	return answer.Msg.GetSecret(), nil
}

// Enroll makes a token and joins with it, as a client or as a member that does not run.
func (c *Cluster) Enroll(ctx context.Context, name string, role pki.Role) (node.Joined, error) {
	token, err := c.Token(ctx, &novacronv1.CreateTokenRequest{Role: node.RoleToProto(role), NodeName: name, Ttl: durationpb.New(pki.MaxTokenTTL)})
	if err != nil {
		return node.Joined{}, err
	}
	return node.Join(ctx, c.JoinOptions(name, token))
}

// JoinOptions are those of a member that is yet to join: addresses and a data directory of its own.
func (c *Cluster) JoinOptions(name, token string) node.JoinOptions {
	at := c.network.next()
	return node.JoinOptions{
		DataDir: filepath.Join(c.options.Dir, name), Name: name, Token: token, Controllers: c.Addresses(),
		API: at.api, Raft: at.raft, Gossip: at.gossip, Agent: c.options.agentConfig(name),
	}
}

// Addresses are the APIs of the controllers that run.
func (c *Cluster) Addresses() (addresses []string) {
	for _, member := range c.Members(pki.RoleController) {
		if member.Running() {
			addresses = append(addresses, member.Config.API)
		}
	}
	return addresses
}

// errNoLeader is what Leader gives during an election.
var errNoLeader = errors.New("no leader")

// Leader is the controller that leads, as all that run agree.
func (c *Cluster) Leader(ctx context.Context) (*Member, error) {
	var leader *Member
	for _, member := range c.Members(pki.RoleController) {
		if !member.Running() {
			continue
		}
		status, err := c.Status(ctx, member.Name, false)
		if err != nil {
			return nil, err
		}
		found := c.byID(status.GetLeaderId())
		if found == nil || leader != nil && found != leader || !found.Running() {
			return nil, errNoLeader
		}
		leader = found
	}
	if leader == nil {
		return nil, errNoLeader
	}
	return leader, nil
}

func (c *Cluster) byID(nodeID string) *Member {
	for _, member := range c.Members(pki.RoleController) {
		if member.Config.NodeID == nodeID {
			return member
		}
	}
	return nil
}

// Status asks one controller about itself, with the hash of its state if that is wanted.
func (c *Cluster) Status(ctx context.Context, controller string, hash bool) (*novacronv1.ControllerStatus, error) {
	admin, err := c.Admin(controller)
	if err != nil {
		return nil, err
	}
	defer admin.HTTP.CloseIdleConnections()
	answer, err := admin.Cluster.GetControllerStatus(ctx, connect.NewRequest(&novacronv1.GetControllerStatusRequest{Hash: hash}))
	if err != nil {
		return nil, err
	}
	return answer.Msg.GetStatus(), nil
}
