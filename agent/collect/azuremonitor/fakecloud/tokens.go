package fakecloud

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// The application that the token service knows.
const (
	TenantID     = "11111111-2222-3333-4444-555555555555"
	ClientID     = "66666666-7777-8888-9999-000000000000"
	ClientSecret = "a secret for tests alone"
)

// tokenLife is how long a token is good.
const tokenLife = time.Hour

type token struct {
	audience string
	expires  time.Time
}

// Credential gives tokens without the token service.
type Credential struct{ Cloud *Cloud }

var _ azcore.TokenCredential = Credential{}

// GetToken gives a token for the audience of the scope.
func (c Credential) GetToken(_ context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	text, expires := c.Cloud.issue(options.Scopes[0])
	// By the clock of the one who asks, as the SDK makes it of expires_in.
	return azcore.AccessToken{Token: text, ExpiresOn: expires.Add(-c.Cloud.Skew)}, nil
}

func (c *Cloud) issue(scope string) (text string, expires time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.issued++
	text = fmt.Sprintf("token-%d", c.issued)
	expires = c.Now().Add(tokenLife)
	c.tokens[text] = token{strings.TrimSuffix(scope, "/.default"), expires}
	return text, expires
}

// Revoke makes all tokens worthless that were given.
func (c *Cloud) Revoke() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.tokens)
}

// authorised tells whether a call carries a token for the service that it is made to.
func (c *Cloud) authorised(r *http.Request) bool {
	text, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	c.mu.Lock()
	defer c.mu.Unlock()
	t, known := c.tokens[text]
	if !bearer || !known || !c.Now().Before(t.expires) {
		return false
	}
	audience := strings.TrimSuffix(strings.TrimPrefix(t.audience, "https://"), "/")
	if _, region, metrics := strings.Cut(r.Host, ".metrics."); metrics {
		return audience == "metrics."+region
	}
	return strings.HasPrefix(audience, "management.")
}

// serveTokens is the token service: where it is, and tokens for who knows the secret.
func (c *Cloud) serveTokens(w http.ResponseWriter, r *http.Request) {
	base := "https://" + r.Host + "/" + TenantID
	switch {
	case strings.HasSuffix(r.URL.Path, "/discovery/instance"):
		reply(w, map[string]any{
			"tenant_discovery_endpoint": base + "/v2.0/.well-known/openid-configuration",
			"api-version":               "1.1", "metadata": []any{map[string]any{"preferred_network": r.Host, "preferred_cache": r.Host, "aliases": []string{r.Host}}},
		})
	case strings.HasSuffix(r.URL.Path, "/openid-configuration"):
		reply(w, map[string]any{"issuer": base + "/v2.0", "authorization_endpoint": base + "/oauth2/v2.0/authorize", "token_endpoint": base + "/oauth2/v2.0/token"})
	case r.Method == http.MethodPost && r.URL.Path == "/"+TenantID+"/oauth2/v2.0/token":
		c.giveToken(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (c *Cloud) giveToken(w http.ResponseWriter, r *http.Request) {
	if r.FormValue("client_id") != ClientID || r.FormValue("client_secret") != ClientSecret {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"error":"invalid_client","error_description":"AADSTS7000222: The provided client secret keys for app '`+ClientID+
			`' are expired. Trace ID: 1 \r\nTimestamp: 2026-01-01","error_codes":[7000222]}`)
		return
	}
	for scope := range strings.FieldsSeq(r.FormValue("scope")) {
		if strings.HasSuffix(scope, "/.default") {
			text, _ := c.issue(scope)
			reply(w, map[string]any{"token_type": "Bearer", "expires_in": int(tokenLife.Seconds()), "ext_expires_in": int(tokenLife.Seconds()), "access_token": text})
			return
		}
	}
	http.Error(w, "no scope", http.StatusBadRequest)
}
