package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"connectrpc.com/connect"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/spf13/cobra"
)

func (a *app) clusterBackup() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use: "backup FILE", Short: "Save the cluster's state", Args: cobra.ExactArgs(1),
		Long: `Save the cluster's state into a file that only you can read; - writes standard output. The file is there in full or not at all.

  novacron cluster backup /var/backups/novacron-$(date +%F)`,
		ValidArgsFunction: completeFileAt(0),
		RunE: a.withClient(func(ctx context.Context, c *client, args []string) error {
			return a.backup(ctx, c, args[0], force)
		}),
	}
	cmd.Flags().BoolVar(&force, "force", false, "write over a file that is there")
	return cmd
}

func (a *app) clusterRestore() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "restore FILE", Short: "Replace the cluster's state by a saved one", Args: cobra.ExactArgs(1),
		Long: `Replace the cluster's state by a backup. Everything that was asked for since is forgotten. Asks first; a script must say --yes.

  novacron cluster restore /var/backups/novacron-2026-01-31 --yes`,
		ValidArgsFunction: completeFileAt(0),
		RunE: a.withClient(func(ctx context.Context, c *client, args []string) error {
			if err := a.confirm(yes, "Replace the cluster's state by "+args[0]+"?"); err != nil {
				return err
			}
			return a.restore(ctx, c, args[0])
		}),
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

func (a *app) backup(ctx context.Context, c *client, path string, force bool) error {
	if path == "-" {
		_, err := a.receiveBackup(ctx, c, "standard output", a.io.Out)
		return err
	}
	if _, err := os.Lstat(path); err == nil && !force {
		return &fault{what: path + " is there already", hint: "choose another name, or say --force"}
	}
	out, err := createAtomic(path)
	if err != nil {
		return err
	}
	defer out.abandon()
	size, err := a.receiveBackup(ctx, c, path, out)
	if err != nil {
		return err
	}
	if err := out.commit(); err != nil {
		return err
	}
	a.tell("%s: %s", path, formatBytes(size))
	return nil
}

// receiveBackup repeats the call only as long as nothing has been written.
func (a *app) receiveBackup(ctx context.Context, c *client, name string, out io.Writer) (size uint64, err error) {
	p := a.newProgress()
	defer p.stop()
	p.set("saving to " + filepath.Base(name))
	err = c.calls.do(ctx, func(ctx context.Context, news func()) error {
		stream, err := c.cluster.Backup(ctx, connect.NewRequest(&pb.BackupRequest{}))
		if err != nil {
			return err
		}
		defer stream.Close()
		for stream.Receive() {
			news()
			n, err := out.Write(stream.Msg().GetData())
			if err != nil {
				return err
			}
			size += uint64(n)
			p.note(fmt.Sprintf("saving to %s: %s", filepath.Base(name), formatBytes(size)))
		}
		return broken(stream.Err(), size)
	})
	if err == nil && size == 0 {
		err = errors.New("the cluster sent an empty backup")
	}
	return size, err
}

// broken keeps a stream of which a part has been used from being repeated.
func broken(err error, size uint64) error {
	if err == nil || size == 0 {
		return err
	}
	return &fault{what: fmt.Sprintf("the backup broke off after %s: %s", formatBytes(size), explain(err).what), hint: "start again"}
}

// restore calls the leader itself: no other controller takes a restore.
func (a *app) restore(ctx context.Context, c *client, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	leader, err := a.dialLeader(ctx, c)
	if err != nil {
		return err
	}
	defer leader.close()
	p := a.newProgress()
	defer p.stop()
	p.set("restoring " + filepath.Base(path))
	var answer *pb.RestoreResponse
	err = leader.calls.do(ctx, func(ctx context.Context, news func()) error {
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return err
		}
		answer, err = sendRestore(leader.cluster.Restore(ctx), file, news)
		return err
	})
	if err != nil {
		return err
	}
	return a.result(answer, "restored as revision %d", answer.GetRevision())
}

func sendRestore(stream *connect.ClientStreamForClient[pb.RestoreRequest, pb.RestoreResponse], file io.Reader, news func()) (*pb.RestoreResponse, error) {
	buf := make([]byte, uploadChunk)
	var readErr error
	for readErr == nil {
		var n int
		n, readErr = io.ReadFull(file, buf)
		if n > 0 && stream.Send(&pb.RestoreRequest{Data: buf[:n]}) != nil {
			break // the reason comes with the answer
		}
		news()
	}
	if err := ignoreEOF(readErr); err != nil {
		return nil, err
	}
	answer, err := stream.CloseAndReceive()
	if err != nil {
		return nil, err
	}
	return answer.Msg, nil
}

// dialLeader is a client of the leader, with the configured endpoints behind it: the leader's own address may not be
// reachable from here, while one of them may be its.
func (a *app) dialLeader(ctx context.Context, c *client) (*client, error) {
	members, err := c.listMembers(ctx)
	if err != nil {
		return nil, err
	}
	path, cfg, err := a.loadConfig()
	if err != nil {
		return nil, err
	}
	to, err := a.chooseContext(path, cfg)
	if err != nil {
		return nil, err
	}
	to.Endpoints = c.calls.endpoints.endpoints
	for _, m := range members {
		if m.GetRaft() == "leader" && m.GetMember().GetApiAddress() != "" {
			to.Endpoints = append([]string{m.GetMember().GetApiAddress()}, to.Endpoints...)
		}
	}
	return a.dialContext(to)
}
