package collect

import "strings"

// Snake is a name in lower case with _ between its words; characters outside of [a-z0-9_] become _.
func Snake(name string) string {
	var b strings.Builder
	for i, r := range name {
		switch {
		case 'A' <= r && r <= 'Z':
			if i > 0 && wordBegins(name, i) {
				b.WriteByte('_')
			}
			b.WriteRune(r + 'a' - 'A')
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			b.WriteRune(r)
		default:
			b.WriteByte('_')
		}
	}
	return strings.Trim(squeeze(b.String()), "_")
}

// wordBegins tells whether the capital at i begins a word: «CPUUsage» has its second word at the second U.
func wordBegins(name string, i int) bool {
	lower := func(at int) bool { return at < len(name) && 'a' <= name[at] && name[at] <= 'z' }
	digit := '0' <= name[i-1] && name[i-1] <= '9'
	capital := 'A' <= name[i-1] && name[i-1] <= 'Z'
	return lower(i-1) || lower(i+1) && (digit || capital)
}

func squeeze(name string) string {
	for strings.Contains(name, "__") {
		name = strings.ReplaceAll(name, "__", "_")
	}
	return name
}

// AWSName is the name under which a metric of CloudWatch passes that has no canonical one.
func AWSName(namespace, metric, statistic string) string {
	return joined("aws", strings.TrimPrefix(namespace, "AWS/"), metric, statistic)
}

// AzureName does the same for Azure; the type of the resource is as in Microsoft.Compute/virtualMachines.
func AzureName(resourceType, metric, aggregation string) string {
	return joined("azure", strings.TrimPrefix(resourceType, "Microsoft."), metric, aggregation)
}

// GCPName does the same for a metric type of Google's, as in compute.googleapis.com/instance/uptime.
func GCPName(metricType string) string { return joined("gcp", metricType) }

// DimensionLabel is the label of a dimension of such a metric.
func DimensionLabel(name string) string { return joined("dimension", name) }

func joined(parts ...string) string {
	for i := range parts {
		parts[i] = Snake(parts[i])
	}
	return strings.Join(parts, "_")
}

// GCPRegion is the region of a zone, whose name goes on with a hyphen and a letter.
func GCPRegion(zone string) string {
	if i := strings.LastIndexByte(zone, '-'); i > 0 {
		return zone[:i]
	}
	return zone
}

// AzureID is a resource id as a key: Azure compares them without regard to case and returns them in any.
func AzureID(id string) string { return strings.ToLower(id) }
