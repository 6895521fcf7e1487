package template

import (
	"embed"
	"fmt"
	"io/fs"
)

//go:embed presets/*.yaml
var presets embed.FS

// Presets are the templates that come with the program, by name.
func Presets() (map[string]Template, error) {
	files, err := fs.Glob(presets, "presets/*.yaml")
	if err != nil {
		return nil, err
	}
	all := map[string]Template{}
	for _, file := range files {
		text, err := presets.ReadFile(file)
		if err != nil {
			return nil, err
		}
		t, err := Parse(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all[t.Name] = t
	}
	return all, nil
}
