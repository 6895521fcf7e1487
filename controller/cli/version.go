package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// versionView is what this program is.
type versionView struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version of this program", Args: cobra.NoArgs,
		Long: "Print the version of this program; `novacron cluster health` tells those of the controllers.\n\n  novacron version -o json",
		RunE: func(*cobra.Command, []string) error {
			v := thisVersion()
			var d details
			d.add("Version", v.Version)
			d.add("Revision", v.Revision)
			d.add("Go", v.Go)
			d.add("Platform", v.Platform)
			return show(a, versionTable(), v, d)
		},
	}
}

// Version is the version of this program, or "devel" for one that was built from a tree without a tag.
func Version() string { return thisVersion().Version }

func thisVersion() versionView {
	v := versionView{Version: "devel", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" && info.Main.Version != "(devel)" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}

func versionTable() table[versionView] {
	return table[versionView]{plural: "versions", columns: []column[versionView]{
		{name: "VERSION", text: func(v versionView) string { return v.Version }},
		{name: "REVISION", text: func(v versionView) string { return v.Revision }},
		{name: "MODIFIED", text: func(v versionView) string { return fmt.Sprint(v.Modified) }},
		{name: "GO", text: func(v versionView) string { return v.Go }},
		{name: "PLATFORM", text: func(v versionView) string { return v.Platform }},
	}}
}
