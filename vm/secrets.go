package vm

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// What stands for a secret where it is not shown; HiddenDiffers for one that differs from what is there.
const (
	Hidden        = "(hidden)"
	HiddenDiffers = "(hidden, differs)"
)

// secretKeys are the keys of cloudInit that may hold passwords, their hashes or keys: what is handed on to the guest as it
// is. SSH keys are public ones and stay in sight.
func secretKeys() []string { return []string{"userData", "networkConfig", "metaData"} }

// IsSecretKey tells a key of cloudInit whose value is a secret.
func IsSecretKey(key string) bool { return slices.Contains(secretKeys(), key) }

// isSecret tells the path of a value that must not be shown.
func isSecret(path string) bool {
	rest, inside := strings.CutPrefix(path, "cloudInit.")
	key, _, _ := strings.Cut(rest, "[")
	return inside && IsSecretKey(key) && (key != "metaData" || rest != key)
}

func isHidden(text string) bool { return text == Hidden || text == HiddenDiffers }

// secrets gives the places of the secrets of a cloud-init, by their paths. Those of the meta-data are in a map.
type secret struct {
	path string
	get  string
	set  func(string)
}

func secretsOf(userData, networkConfig *string, metaData map[string]string) (all []secret) {
	for _, field := range []struct {
		path string
		text *string
	}{{"cloudInit.userData", userData}, {"cloudInit.networkConfig", networkConfig}} {
		all = append(all, secret{field.path, *field.text, func(text string) { *field.text = text }})
	}
	for _, key := range slices.Sorted(maps.Keys(metaData)) {
		all = append(all, secret{"cloudInit.metaData[" + key + "]", metaData[key], func(text string) { metaData[key] = text }})
	}
	return slices.DeleteFunc(all, func(s secret) bool { return s.get == "" })
}

func (d *Definition) secrets() []secret {
	if d.CloudInit == nil {
		return nil
	}
	return secretsOf(&d.CloudInit.UserData, &d.CloudInit.NetworkConfig, d.CloudInit.MetaData)
}

// WithoutSecrets is the definition with Hidden in the place of every secret.
func (d Definition) WithoutSecrets() Definition {
	d = Clone(d)
	for _, s := range d.secrets() {
		if !isHidden(s.get) {
			s.set(Hidden)
		}
	}
	return d
}

// HideSecrets is WithoutSecrets for the form on the wire: spec itself where it has none, else a copy.
func HideSecrets(spec *novacronv1.VMSpec) *novacronv1.VMSpec {
	if c := spec.GetCloudInit(); c.GetUserData() == "" && c.GetNetworkConfig() == "" && len(c.GetMetaData()) == 0 {
		return spec
	}
	spec = proto.CloneOf(spec)
	c := spec.GetCloudInit()
	for _, s := range secretsOf(&c.UserData, &c.NetworkConfig, c.MetaData) {
		if !isHidden(s.get) {
			s.set(Hidden)
		}
	}
	return spec
}

// RestoreSecrets puts stored secrets back in the places where a definition that was shown without them has Hidden, so that it
// can be applied again. What remains hidden is Faults.
func RestoreSecrets(shown, stored Definition) (Definition, error) {
	shown = Clone(shown)
	has := map[string]string{}
	for _, s := range stored.secrets() {
		has[s.path] = s.get
	}
	var faults Faults
	for _, s := range shown.secrets() {
		if !isHidden(s.get) {
			continue
		}
		if text, there := has[s.path]; there && s.get == Hidden {
			s.set(text)
			continue
		}
		faults = append(faults, Fault{Path: s.path, Value: fmt.Sprintf("%q", s.get), Limit: "the text itself, which this stands for where it is not shown",
			WayOut: "give it, or take the definition from «novacron vm show NAME --secrets -o yaml»"})
	}
	return shown, faults.Err()
}

// MarkDifferences hides the secrets of a definition such that those which differ from stored ones can be told.
func MarkDifferences(def, stored Definition) Definition {
	has := map[string]string{}
	for _, s := range stored.secrets() {
		has[s.path] = s.get
	}
	def = Clone(def)
	for _, s := range def.secrets() {
		if has[s.path] == s.get {
			s.set(Hidden)
		} else {
			s.set(HiddenDiffers)
		}
	}
	return def
}
