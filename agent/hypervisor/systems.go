package hypervisor

import (
	"context"
	"io/fs"
	"strings"
	"sync"

	"github.com/novacron/novacron/vm"
	"github.com/novacron/novacron/vm/ostype"
)

// systems is the table of operating systems, with what osinfo-db has where it is installed. A type is read from there
// when somebody first asks for it.
type systems struct {
	mu     sync.Mutex
	tables map[string]ostype.Table
}

func (s *systems) of(osType string, tree fs.FS) ostype.Table {
	s.mu.Lock()
	defer s.mu.Unlock()
	osType = strings.ToLower(osType)
	if table, read := s.tables[osType]; read {
		return table
	}
	more := ostype.ReadOSInfo(tree, osType)
	if len(more) == 0 {
		return ostype.Builtin()
	}
	if s.tables == nil {
		s.tables = map[string]ostype.Table{}
	}
	s.tables[osType] = ostype.Builtin().With(more)
	return s.tables[osType]
}

// Warnings tells what is unusual about a definition on this host and not wrong. Where osinfo-db is installed, its
// minima are used.
func (m *Manager) Warnings(ctx context.Context, def *VMDefinition) (vm.Warnings, error) {
	facts, err := m.recentFacts(ctx)
	if err != nil {
		return nil, err
	}
	return m.warnings(def, facts), nil
}

func (m *Manager) warnings(def *VMDefinition, facts HostFacts) vm.Warnings {
	return append(vm.Warn(*def, m.systems.of(def.OSType, m.config.OSInfo)), HostWarnings(def, facts)...)
}
