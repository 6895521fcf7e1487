package azuremonitor

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// Credentials say who asks. The zero value is the SDK's default chain: the environment, a workload identity, the
// managed identity of the machine that this runs on, then the tools of Azure's command line. Otherwise the fields that
// are set say which way is meant; those of two ways are refused.
type Credentials struct {
	// TenantID is the directory, ClientID the application or identity.
	TenantID, ClientID string
	// ClientSecret is a secret of the application.
	ClientSecret string
	// Certificate holds certificate and private key of the application in PEM or PKCS #12, CertificatePassword opens it.
	Certificate         []byte
	CertificatePassword string
	// ManagedIdentity is that of the machine; with a ClientID, the one of the user's that it names.
	ManagedIdentity bool
	// TokenFile holds the token of a workload identity; it is read again for each new token.
	TokenFile string
}

// String tells who asks, and no secret.
func (c Credentials) String() string {
	way, err := c.way()
	if err != nil {
		return err.Error()
	}
	text := way
	if c.ClientID != "" {
		text += " of client " + c.ClientID
	}
	if c.TenantID != "" {
		text += " in tenant " + c.TenantID
	}
	return text
}

// GoString hides the secrets from %#v.
func (c Credentials) GoString() string { return c.String() }

// LogValue hides the secrets from logs.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(c.String()) }

// The ways to ask for a token.
const (
	wayDefault     = "default chain"
	waySecret      = "client secret"
	wayCertificate = "client certificate"
	wayManaged     = "managed identity"
	wayWorkload    = "workload identity"
)

// way tells which one is meant.
func (c Credentials) way() (string, error) {
	var ways []string
	for _, w := range []struct {
		name string
		set  bool
	}{{waySecret, c.ClientSecret != ""}, {wayCertificate, len(c.Certificate) > 0}, {wayManaged, c.ManagedIdentity}, {wayWorkload, c.TokenFile != ""}} {
		if w.set {
			ways = append(ways, w.name)
		}
	}
	switch {
	case len(ways) > 1:
		return "", fmt.Errorf("credentials of Azure name both %s and %s; leave one", ways[0], ways[1])
	case len(ways) == 0:
		return wayDefault, nil
	case ways[0] != wayManaged && (c.TenantID == "" || c.ClientID == ""):
		return "", fmt.Errorf("credentials of Azure by %s: tenant %q, client %q; set both", ways[0], c.TenantID, c.ClientID)
	}
	return ways[0], nil
}

// token is the source of tokens. Retries of the token service are left to the next collection, but for the managed
// identity's, whose service asks for them.
func (c Credentials) token(options azcore.ClientOptions) (azcore.TokenCredential, error) {
	way, err := c.way()
	if err != nil {
		return nil, err
	}
	once := options
	once.Retry.MaxRetries = -1
	switch way {
	case waySecret:
		return azidentity.NewClientSecretCredential(c.TenantID, c.ClientID, c.ClientSecret, &azidentity.ClientSecretCredentialOptions{ClientOptions: once})
	case wayCertificate:
		certificates, key, err := azidentity.ParseCertificates(c.Certificate, []byte(c.CertificatePassword))
		if err != nil {
			return nil, errors.New("certificate of the client: it is no PEM or PKCS #12 with a certificate and its key, or the password does not open it")
		}
		return azidentity.NewClientCertificateCredential(c.TenantID, c.ClientID, certificates, key, &azidentity.ClientCertificateCredentialOptions{ClientOptions: once})
	case wayManaged:
		managed := &azidentity.ManagedIdentityCredentialOptions{ClientOptions: options}
		if c.ClientID != "" {
			managed.ID = azidentity.ClientID(c.ClientID)
		}
		return azidentity.NewManagedIdentityCredential(managed)
	case wayWorkload:
		return azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
			ClientOptions: once, ClientID: c.ClientID, TenantID: c.TenantID, TokenFilePath: c.TokenFile,
		})
	}
	return azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: options, TenantID: c.TenantID})
}
