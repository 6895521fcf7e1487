package cli

// Version is the version of this program, for members to tell.
func Version() string { return thisVersion().Version }

// ConfigPath is where the client configuration lives.
func ConfigPath(s IO) (string, error) { return newApp(s.withDefaults()).configPath() }
