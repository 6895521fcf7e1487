package lab

import (
	"bytes"
	"debug/elf"
	"fmt"
	"path"
	"strings"
)

// modules orders kernel modules such that each comes after those that it depends on.
type modules struct {
	files   map[string][]byte // by the name that the kernel gives them, with _ for -
	builtin map[string]bool
	order   []string
	done    map[string]bool
}

func moduleName(file string) string {
	return strings.ReplaceAll(strings.TrimSuffix(path.Base(file), ".ko"), "-", "_")
}

func (t tree) modules() (*modules, error) {
	m := &modules{files: map[string][]byte{}, builtin: map[string]bool{}, done: map[string]bool{}}
	for name, data := range t.files {
		if strings.HasSuffix(name, ".ko") {
			m.files[moduleName(name)] = data
		}
	}
	list, err := t.byBase("modules.builtin")
	for line := range strings.FieldsSeq(string(list)) {
		m.builtin[moduleName(line)] = true
	}
	return m, err
}

func (m *modules) add(name string) error {
	if m.done[name] || m.builtin[name] {
		return nil
	}
	m.done[name] = true
	file, ok := m.files[name]
	if !ok {
		return fmt.Errorf("lab: the kernel has module %s neither as a file nor built in", name)
	}
	needs, err := dependsOn(file)
	if err != nil {
		return fmt.Errorf("lab: module %s: %w", name, err)
	}
	for _, n := range needs {
		if err := m.add(n); err != nil {
			return fmt.Errorf("%w, needed by %s", err, name)
		}
	}
	m.order = append(m.order, name)
	return nil
}

// dependsOn reads the «depends=a,b» entry of a module's section .modinfo, a list of strings that end with a zero.
func dependsOn(module []byte) ([]string, error) {
	f, err := elf.NewFile(bytes.NewReader(module))
	if err != nil {
		return nil, err
	}
	section := f.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("no section .modinfo")
	}
	info, err := section.Data()
	if err != nil {
		return nil, err
	}
	for entry := range bytes.SplitSeq(info, []byte{0}) {
		if list, ok := bytes.CutPrefix(entry, []byte("depends=")); ok && len(list) > 0 {
			return strings.Split(strings.ReplaceAll(string(list), "-", "_"), ","), nil
		}
	}
	return nil, nil
}

// addModules adds the drivers of a guest, and a list for each time at which some are loaded.
func (t tree) addModules(a *archive) error {
	m, err := t.modules()
	if err != nil {
		return err
	}
	for _, list := range []struct {
		file  string
		names []string
	}{{"etc/modules", guestModules()}, {"etc/modules.root", rootModules()}} {
		known := len(m.order)
		for _, name := range list.names {
			if err := m.add(name); err != nil {
				return err
			}
		}
		added := m.order[known:]
		for _, name := range added {
			a.file("lib/modules/"+name+".ko", 0o644, m.files[name])
		}
		a.file(list.file, 0o644, []byte(strings.Join(added, "\n")+"\n"))
	}
	return nil
}
