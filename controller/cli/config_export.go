package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

// Files of an exported context, each in PEM.
const (
	exportedCA   = "ca.pem"
	exportedCert = "cert.pem"
	exportedKey  = "key.pem"
)

func (a *app) configExport() *cobra.Command {
	var dir string
	var force bool
	cmd := &cobra.Command{
		Use: "export [NAME]", Short: "Write a context's certificate and key for other programs", Args: cobra.MaximumNArgs(1),
		Long: `Write the certificates of a context and its key as PEM files, for programs that call the cluster by HTTP: curl, promtool, Prometheus,
Grafana. The names ca.pem, cert.pem and key.pem are those that the documentation uses; all are readable by you alone: where you
are root, chown them to the user of the program. Give such programs a role that can do no more than they need: metrics-reader to
ask, metrics-writer to send.

  novacron cluster token create --role metrics-reader | novacron cluster join 10.0.0.1:7750 --token - --context grafana
  novacron config export grafana --dir /etc/grafana/novacron
  chown -R grafana: /etc/grafana/novacron`,
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
			if err := ctx.export(dir, force); err != nil {
				return err
			}
			view := ctx.view(cfg)
			return a.result(view, "%s: %s, %s and %s of %s, who is %s; they end in %s", dir, exportedCA, exportedCert, exportedKey,
				view.User, withArticle(view.Role), a.until(timestamp(view.Expires)))
		},
	}
	cmd.Flags().StringVar(&dir, "dir", ".", "`folder` for the files, which is made where it is missing")
	cmd.Flags().BoolVar(&force, "force", false, "write over files that are there")
	return cmd
}

// export writes a context's files, all of them or, where one is there already, none.
func (ctx Context) export(dir string, force bool) error {
	if err := ctx.validate(); err != nil {
		return err
	}
	files := map[string]string{exportedCA: ctx.CA, exportedCert: ctx.Certificate, exportedKey: ctx.Key}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for name := range files {
		if _, err := os.Stat(filepath.Join(dir, name)); force || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		return &fault{what: fmt.Sprintf("%s is there already", filepath.Join(dir, name)), hint: "choose another folder with --dir, or say --force"}
	}
	for name, text := range files {
		if err := writeWhole(filepath.Join(dir, name), text); err != nil {
			return err
		}
	}
	return nil
}

// writeWhole writes a file that its owner alone can read, in full or not at all.
func writeWhole(path, text string) error {
	out, err := createAtomic(path)
	if err != nil {
		return err
	}
	defer out.abandon()
	if _, err := out.WriteString(text); err != nil {
		return err
	}
	return out.commit()
}
