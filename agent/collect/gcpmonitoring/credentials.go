package gcpmonitoring

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/auth/credentials"
	"cloud.google.com/go/auth/credentials/impersonate"
)

// Credentials say who asks Google. The zero value is the application default: the file that the environment variable
// GOOGLE_APPLICATION_CREDENTIALS names, that of «gcloud auth application-default login», or the service account of the
// machine.
type Credentials struct {
	// File holds credentials as Google gives them out: of a service account, of a user, or of workload identity
	// federation (AWS, Azure, OIDC, SAML).
	File string
	// JSON are such credentials as they are, in place of a file.
	JSON []byte `json:"-"`
	// Impersonate is the address of a service account to act as; those above must be allowed to.
	Impersonate string
	// Delegates are the accounts between, in order.
	Delegates []string
}

// scopes are all that is needed; both are for reading.
var scopes = []string{"https://www.googleapis.com/auth/monitoring.read", "https://www.googleapis.com/auth/compute.readonly"}

// impersonationScope is what acting as another account takes.
const impersonationScope = "https://www.googleapis.com/auth/cloud-platform"

// kinds are the credentials that a file may hold.
var kinds = []credentials.CredType{
	credentials.ServiceAccount, credentials.AuthorizedUser, credentials.ExternalAccount,
	credentials.ExternalAccountAuthorizedUser, credentials.ImpersonatedServiceAccount,
}

func (c Credentials) validate() error {
	if len(c.Delegates) > 0 && c.Impersonate == "" {
		return errors.New("google cloud: delegates without an account to act as; name the account")
	}
	return nil
}

// String names them in errors.
func (c Credentials) String() string {
	base := "application default credentials"
	switch {
	case len(c.JSON) > 0:
		base = "credentials that were given"
	case c.File != "":
		base = "credentials of " + c.File
	}
	if c.Impersonate != "" {
		return base + " acting as " + c.Impersonate
	}
	return base
}

// renewal says how to get new ones.
func (c Credentials) renewal() string {
	switch {
	case c.Impersonate != "":
		return "check that the account exists and that roles/iam.serviceAccountTokenCreator on it is granted"
	case len(c.JSON) > 0:
		return "give new ones: make them with «gcloud iam service-accounts keys create»"
	case c.File != "":
		return "put a new file there with «gcloud iam service-accounts keys create» or, for workload identity, «gcloud iam workload-identity-pools create-cred-config»"
	}
	return "run «gcloud auth application-default login», name a file in GOOGLE_APPLICATION_CREDENTIALS, or give this machine a service account"
}

// open finds the credentials. No token is fetched yet.
func (c Credentials) open() (*auth.Credentials, error) {
	wanted := scopes
	if c.Impersonate != "" {
		wanted = []string{impersonationScope}
	}
	base, err := c.base(&credentials.DetectOptions{Scopes: wanted})
	if err == nil && c.Impersonate != "" {
		base, err = impersonate.NewCredentials(&impersonate.CredentialsOptions{
			TargetPrincipal: c.Impersonate, Delegates: c.Delegates, Scopes: scopes, Credentials: base,
		})
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w; %s", c, err, c.renewal())
	}
	return base, nil
}

func (c Credentials) base(opts *credentials.DetectOptions) (*auth.Credentials, error) {
	data := c.JSON
	if len(data) == 0 {
		if c.File == "" {
			return credentials.DetectDefault(opts)
		}
		var err error
		if data, err = os.ReadFile(c.File); err != nil {
			return nil, err
		}
	}
	var file struct {
		Type credentials.CredType `json:"type"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, err
	}
	if !slices.Contains(kinds, file.Type) {
		return nil, fmt.Errorf("type %.40q; known are %q", file.Type, kinds)
	}
	return credentials.NewCredentialsFromJSON(file.Type, data, opts)
}
