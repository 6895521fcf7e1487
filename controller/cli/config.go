package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/novacron/novacron/cluster/pki"
	"github.com/spf13/cobra"
)

// contextView is a context as people may see it: without its key.
type contextView struct {
	Name          string     `json:"name"`
	Current       bool       `json:"current"`
	Endpoints     []string   `json:"endpoints"`
	ClusterID     string     `json:"clusterId"`
	User          string     `json:"user"`
	Role          string     `json:"role"`
	Expires       *time.Time `json:"expires,omitempty"`
	CAFingerprint string     `json:"caFingerprint"`
	Problem       string     `json:"problem,omitempty"`
}

func (a *app) configCommand() *cobra.Command {
	return a.group("config", "Choose the cluster to talk to", `The client configuration holds contexts: how to reach a cluster, and as whom.
`+"`novacron cluster init` and `novacron cluster join` write them.", a.configList(), a.configUse(), a.configShow(), a.configExport(), a.configPathCommand())
}

func (a *app) configList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the contexts", Args: cobra.NoArgs,
		Long: "List the contexts of the configuration file. The current one has a star.\n\n  novacron config list -o wide",
		RunE: func(*cobra.Command, []string) error {
			_, cfg, err := a.loadConfig()
			if err != nil {
				return err
			}
			views := make([]contextView, len(cfg.Contexts))
			for i, ctx := range cfg.Contexts {
				views[i] = ctx.view(cfg)
			}
			return list(a, a.contextTable(), views)
		},
	}
}

func (a *app) configUse() *cobra.Command {
	return &cobra.Command{
		Use: "use NAME", Short: "Make a context the current one", Args: cobra.ExactArgs(1),
		Long:              "Make a context the one that commands use when none is named.\n\n  novacron config use lab",
		ValidArgsFunction: a.completeOnce(a.contextNames),
		RunE: func(_ *cobra.Command, args []string) error {
			path, cfg, err := a.loadConfig()
			if err != nil {
				return err
			}
			if _, err := cfg.find(path, args[0]); err != nil {
				return err
			}
			cfg.CurrentContext = args[0]
			return saveConfig(path, cfg)
		},
	}
}

func (a *app) configShow() *cobra.Command {
	return &cobra.Command{
		Use: "show [NAME]", Short: "Show a context without its secrets", Args: cobra.MaximumNArgs(1),
		Long:              "Show the current context or the one named: where it leads, as whom, and until when. Keys are never shown.\n\n  novacron config show lab",
		ValidArgsFunction: a.completeOnce(a.contextNames),
		RunE: func(_ *cobra.Command, args []string) error {
			path, cfg, err := a.loadConfig()
			if err != nil {
				return err
			}
			ctx, err := a.chooseContext(path, cfg, args...)
			if err != nil {
				return err
			}
			view := ctx.view(cfg)
			return show(a, a.contextTable(), view, a.contextDetails(view))
		},
	}
}

func (a *app) configPathCommand() *cobra.Command {
	return &cobra.Command{
		Use: "path", Short: "Print the path of the configuration file", Args: cobra.NoArgs,
		Long: "Print the path of the configuration file, whether it exists or not.\n\n  novacron config path",
		RunE: func(*cobra.Command, []string) error {
			path, err := a.configPath()
			if err != nil {
				return err
			}
			fmt.Fprintln(a.io.Out, path)
			return nil
		},
	}
}

func (a *app) loadConfig() (string, Config, error) {
	path, err := a.configPath()
	if err != nil {
		return "", Config{}, err
	}
	cfg, err := LoadConfig(path)
	return path, cfg, err
}

// chooseContext is the one named, else --context, else $NOVACRON_CONTEXT, else the current one.
func (a *app) chooseContext(path string, cfg Config, named ...string) (Context, error) {
	for _, name := range append(named, a.context, a.io.Env("NOVACRON_CONTEXT"), cfg.CurrentContext) {
		if name != "" {
			return cfg.find(path, name)
		}
	}
	return Context{}, &fault{
		what: "no cluster to talk to: " + path + " names no current context",
		hint: "`novacron cluster init` makes a cluster, `novacron cluster join` joins one; `novacron config use` chooses between several",
	}
}

func (ctx Context) view(cfg Config) contextView {
	v := contextView{Name: ctx.Name, Current: ctx.Name == cfg.CurrentContext, Endpoints: ctx.Endpoints}
	if cert, err := ctx.certificateOf(); err == nil {
		v.Expires = &cert.NotAfter
		if id, err := pki.IdentityFromCert(cert); err == nil {
			v.ClusterID, v.User, v.Role = id.ClusterID, id.Name, string(id.Role)
		}
	}
	credentials, err := ctx.credentials()
	if err != nil {
		v.Problem = err.Error()
		return v
	}
	v.CAFingerprint = credentials.CAFingerprint()
	return v
}

func (a *app) contextTable() table[contextView] {
	return table[contextView]{plural: "contexts", columns: []column[contextView]{
		{name: "NAME", text: func(v contextView) string { return v.Name }},
		{name: "CURRENT", text: func(v contextView) string { return star(v.Current) },
			raw: func(v contextView) string { return fmt.Sprint(v.Current) }},
		{name: "ENDPOINTS", text: func(v contextView) string { return strings.Join(v.Endpoints, ",") }},
		{name: "ROLE", text: func(v contextView) string { return v.Role }},
		{name: "USER", where: wideAndCSV, text: func(v contextView) string { return v.User }},
		{name: "CLUSTER", where: wideAndCSV, text: func(v contextView) string { return v.ClusterID }},
		{name: "EXPIRES", text: func(v contextView) string { return a.until(timestamp(v.Expires)) },
			raw: func(v contextView) string { return moment(timestamp(v.Expires)) }},
		{name: "PROBLEM", where: wideAndCSV, text: func(v contextView) string { return v.Problem }},
	}}
}

func (a *app) contextDetails(v contextView) (d details) {
	d.add("Name", v.Name)
	d.add("Current", yesNo(v.Current))
	d.add("Endpoints", strings.Join(v.Endpoints, "\n"))
	d.add("Cluster", v.ClusterID)
	d.add("User", v.User)
	d.add("Role", v.Role)
	d.add("CA", v.CAFingerprint)
	if v.Expires != nil {
		d.add("Expires", fmt.Sprintf("%s (%s)", v.Expires.UTC().Format(time.RFC3339), a.until(timestamp(v.Expires))))
	}
	d.add("Key", "(not shown)")
	d.add("Problem", v.Problem)
	return d
}
