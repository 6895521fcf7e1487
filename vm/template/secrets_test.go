package template_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/vm"
	"github.com/novacron/novacron/vm/template"
)

const withSecrets = `name: web
parameters:
- {name: size, type: int, default: "2"}
definition:
  cpus: "${size}"
  memoryMB: 512
  cloudInit:
    userData: | # a comment of passw0rd
      #cloud-config
      password: passw0rd
    metaData: {token: passw0rd}
    sshKeys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA ops"]
`

func TestTemplatesAreShownWithoutSecrets(t *testing.T) {
	shown := template.HideSecrets(withSecrets)
	require.NotContains(t, shown, "passw0rd")
	for _, kept := range []string{"token", "ssh-ed25519", "${size}", vm.Hidden} {
		require.Contains(t, shown, kept)
	}
	parsed, err := template.Parse([]byte(shown))
	require.NoError(t, err)
	require.True(t, parsed.Hides(), "what was shown is not what was kept")
	parsed, err = template.Parse([]byte(withSecrets))
	require.NoError(t, err)
	require.False(t, parsed.Hides())

	const plain = "name: web\ndefinition: {cpus: 1, memoryMB: 64} # as it is\n"
	require.Equal(t, plain, template.HideSecrets(plain))
	require.Empty(t, template.HideSecrets("\tno: [yaml"))
	require.Empty(t, template.HideSecrets(""))
}
