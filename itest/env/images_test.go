package env_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/itest/env"
)

func TestImagesOutliveARestartOfTheWholeCluster(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 3, Agents: 1})
	image := addImage(t, admin(t, c, ""), "old", []byte("stored long ago, and named"))
	orphan := upload(t, admin(t, c, ""), []byte("stored long ago, never named"))
	controllers := c.Members(pki.RoleController)
	for _, member := range controllers {
		require.Eventually(t, func() bool { return holds(member, image.GetSha256()) }, patience, 10*time.Millisecond)
	}
	for _, member := range controllers {
		require.NoError(t, member.Stop())
	}
	long := time.Now().Add(-48 * time.Hour)
	for _, member := range controllers {
		require.NoError(t, os.Chtimes(filepath.Join(member.Config.BlobDir(), image.GetSha256()), long, long))
	}
	require.NoError(t, os.Chtimes(filepath.Join(controllers[0].Config.BlobDir(), orphan), long, long))
	for _, member := range controllers {
		require.NoError(t, member.Start(t.Context()))
	}
	require.Eventually(t, func() bool { return !holds(controllers[0], orphan) }, patience, 10*time.Millisecond, "what nothing names goes in the end")
	for _, member := range controllers {
		require.True(t, holds(member, image.GetSha256()), "%s dropped an image before it knew of its name", member.Name)
	}
	spec := small("late")
	spec.Image = "old"
	create(t, admin(t, c, ""), spec)
	waitPhase(t, admin(t, c, ""), "late", running)
}

func holds(member *env.Member, hash string) bool {
	_, err := os.Stat(filepath.Join(member.Config.BlobDir(), hash))
	return err == nil
}
