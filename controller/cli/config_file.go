package cli

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/novacron/novacron/cluster/pki"
	"sigs.k8s.io/yaml"
)

// Config is the client's configuration file.
type Config struct {
	// CurrentContext is the context that commands use when none is named.
	CurrentContext string    `json:"currentContext,omitempty"`
	Contexts       []Context `json:"contexts,omitempty"`
}

// Context is one cluster as one user reaches it.
type Context struct {
	Name string `json:"name"`
	// Endpoints are the controllers' API addresses, host:port.
	Endpoints []string `json:"endpoints"`
	// CA, Certificate and Key are PEM.
	CA          string `json:"ca"`
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
}

// configPath is --config, else $NOVACRON_CONFIG, else the default place.
func (a *app) configPath() (string, error) {
	if a.config != "" {
		return a.config, nil
	}
	return ConfigPath(a.io)
}

// ConfigPath is where the client configuration lives: $NOVACRON_CONFIG, else ~/.config/novacron/config.yaml.
func ConfigPath(s IO) (string, error) {
	if s.Env != nil && s.Env("NOVACRON_CONFIG") != "" {
		return s.Env("NOVACRON_CONFIG"), nil
	}
	if s.Home == "" {
		return "", &fault{what: "there is no home directory to look for the configuration in", hint: "name the file with --config or NOVACRON_CONFIG"}
	}
	return filepath.Join(s.Home, ".config", "novacron", "config.yaml"), nil
}

// LoadConfig reads a configuration file strictly; a file that does not exist is an empty configuration.
// A file that others can read is refused, as it holds private keys.
func LoadConfig(path string) (Config, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Config{}, nil
	}
	if err != nil {
		return Config{}, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return Config{}, &fault{
			what: fmt.Sprintf("%s has mode %#o: others can read the private keys in it", path, mode),
			hint: "chmod 600 " + path,
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return Config{}, err
	}
	var cfg Config
	if err := yaml.UnmarshalStrict(data, &cfg); err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return cfg, nil
}

// SaveContext writes a context into the configuration file, over the one of its name if there is one,
// and makes it the current one. The file is made if need be, with mode 0600.
func SaveContext(path string, ctx Context) error {
	if err := ctx.validate(); err != nil {
		return err
	}
	cfg, err := LoadConfig(path)
	if err != nil {
		return err
	}
	cfg.put(ctx)
	cfg.CurrentContext = ctx.Name
	return saveConfig(path, cfg)
}

func (c *Config) put(ctx Context) {
	if i := c.index(ctx.Name); i >= 0 {
		c.Contexts[i] = ctx
		return
	}
	c.Contexts = append(c.Contexts, ctx)
}

func (c *Config) index(name string) int {
	return slices.IndexFunc(c.Contexts, func(x Context) bool { return x.Name == name })
}

func (c *Config) names() []string {
	names := make([]string, len(c.Contexts))
	for i, ctx := range c.Contexts {
		names[i] = ctx.Name
	}
	return names
}

// find answers the context of that name, or says which ones there are.
func (c *Config) find(path, name string) (Context, error) {
	if i := c.index(name); i >= 0 {
		return c.Contexts[i], nil
	}
	f := &fault{what: fmt.Sprintf("%s has no context %q", path, name), hint: "`novacron config list` shows the contexts"}
	if len(c.Contexts) > 0 {
		f.hint = "it has " + alternatives(c.names())
	}
	return Context{}, f
}

// saveConfig replaces the file in one step, so that a crash leaves the old or the new one.
func saveConfig(path string, cfg Config) error {
	data, err := yaml.Marshal(cfg)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // keep a link a link
	}
	out, err := createAtomic(path)
	if err != nil {
		return err
	}
	defer out.abandon()
	if _, err := out.Write(data); err != nil {
		return err
	}
	return out.commit()
}

func (ctx Context) validate() error {
	switch {
	case ctx.Name == "":
		return errors.New("a context needs a name")
	case len(ctx.Endpoints) == 0:
		return fmt.Errorf("context %q names no endpoint, host:port of a controller", ctx.Name)
	}
	if _, err := ctx.credentials(); err != nil {
		return fmt.Errorf("context %q: %w", ctx.Name, err)
	}
	return nil
}

// credentials checks that certificate, key and CA belong together.
func (ctx Context) credentials() (*pki.Credentials, error) {
	return pki.NewCredentials(pki.Material{
		CertPEM: []byte(ctx.Certificate), KeyPEM: []byte(ctx.Key), CAPEM: []byte(ctx.CA),
	}, pki.Options{})
}

// certificateOf reads a context's certificate, which tells more than credentials when they do not fit together.
func (ctx Context) certificateOf() (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(ctx.Certificate))
	if block == nil {
		return nil, errors.New("no PEM certificate")
	}
	return x509.ParseCertificate(block.Bytes)
}

// NewContext is a context for the holder of m.
func NewContext(name string, endpoints []string, m pki.Material) Context {
	return Context{Name: name, Endpoints: endpoints, CA: string(m.CAPEM), Certificate: string(m.CertPEM), Key: string(m.KeyPEM)}
}
