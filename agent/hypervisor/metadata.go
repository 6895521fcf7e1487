package hypervisor

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/novacron/novacron/agent/hypervisor/domainxml"
)

// MetadataNamespace is the XML namespace of what we store in a domain, MetadataPrefix its prefix there.
const (
	MetadataNamespace = "urn:novacron:domain:1"
	MetadataPrefix    = "novacron"
)

// metadata is our element in a domain. A domain without it, or with that of another cluster, is foreign.
type metadata struct {
	Owner Owner
	// Definition has no secrets.
	Definition *VMDefinition
	// Bases are the imported images that the machine uses, by name in the definition.
	Bases []BaseRef
}

// BaseRef is an image in a pool.
type BaseRef struct {
	Image  string `xml:"image,attr" json:"image"`
	Pool   string `xml:"pool,attr" json:"pool"`
	Volume string `xml:"volume,attr" json:"volume"`
	Path   string `xml:"path,attr" json:"path"`
	Format string `xml:"format,attr" json:"format"`
}

// The element's form: version 1.
type metadataXML struct {
	NS         string    `xml:"xmlns:novacron,attr,omitempty"`
	Version    int       `xml:"version,attr"`
	Cluster    string    `xml:"cluster"`
	Epoch      uint64    `xml:"epoch"`
	Generation uint64    `xml:"generation"`
	Bases      []BaseRef `xml:"base"`
	// Definition is JSON, which keeps every field without a second encoding to maintain.
	Definition string `xml:"definition"`
}

const metadataVersion = 1

// encode writes the element as it stands in domain XML, or bare, as SetMetadata wants it. What cloud-init hands on to the
// guest is hidden: libvirt shows domains to everyone on the host.
func (m metadata) encode(bare bool) (string, error) {
	def, err := json.Marshal(m.Definition.WithoutSecrets())
	if err != nil {
		return "", fmt.Errorf("encode the definition for the domain's metadata: %w", err)
	}
	x := metadataXML{
		Version: metadataVersion, Cluster: m.Owner.ClusterID, Epoch: m.Owner.Epoch, Generation: m.Owner.Generation,
		Bases: m.Bases, Definition: string(def),
	}
	if bare {
		return domainxml.Element("vm", &x)
	}
	x.NS = MetadataNamespace
	return domainxml.Element(MetadataPrefix+":vm", &x)
}

// decodeMetadata finds our element among the contents of a domain's metadata and reads it, whatever prefixes libvirt
// put to it since. Without one the error is ErrNotFound.
func decodeMetadata(text string) (metadata, error) {
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return metadata{}, fmt.Errorf("metadata in %s: %w", MetadataNamespace, ErrNotFound)
		}
		if err != nil {
			return metadata{}, fmt.Errorf("metadata in %s: %w", MetadataNamespace, err)
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if start.Name.Space == MetadataNamespace {
			return decodeElement(d, start)
		}
		if err := d.Skip(); err != nil {
			return metadata{}, fmt.Errorf("metadata in %s: %w", MetadataNamespace, err)
		}
	}
}

func decodeElement(d *xml.Decoder, start xml.StartElement) (metadata, error) {
	var x metadataXML
	if err := d.DecodeElement(&x, &start); err != nil {
		return metadata{}, fmt.Errorf("metadata in %s: %w", MetadataNamespace, err)
	}
	if x.Version < 1 || x.Version > metadataVersion {
		return metadata{}, fmt.Errorf("metadata in %s: version %d; this program reads 1 to %d: upgrade it",
			MetadataNamespace, x.Version, metadataVersion)
	}
	m := metadata{
		Owner:      Owner{ClusterID: x.Cluster, Epoch: x.Epoch, Generation: x.Generation},
		Definition: &VMDefinition{}, Bases: x.Bases,
	}
	if err := json.Unmarshal([]byte(x.Definition), m.Definition); err != nil {
		return metadata{}, fmt.Errorf("metadata in %s: definition: %w", MetadataNamespace, err)
	}
	return m, nil
}

// ParseDomain reads what a driver has to tell of a domain out of its XML. The driver adds the state.
func ParseDomain(text string) (Domain, error) {
	var x struct {
		Name string `xml:"name"`
		UUID string `xml:"uuid"`
		OS   struct {
			Type struct {
				Machine string `xml:"machine,attr"`
			} `xml:"type"`
		} `xml:"os"`
		Metadata struct {
			Inner string `xml:",innerxml"`
		} `xml:"metadata"`
	}
	if err := xml.Unmarshal([]byte(text), &x); err != nil {
		return Domain{}, fmt.Errorf("domain XML: %w", err)
	}
	return Domain{ID: x.UUID, Name: x.Name, Machine: x.OS.Type.Machine, Metadata: x.Metadata.Inner, XML: text}, nil
}
