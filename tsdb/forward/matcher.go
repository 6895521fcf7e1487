package forward

import "github.com/prometheus/prometheus/model/labels"

// matcher says which series are sent: those that one of its selectors chooses, or all where it has none.
type matcher [][]*labels.Matcher

func (m matcher) matches(lset labels.Labels) bool {
	for _, selector := range m {
		if all(selector, lset) {
			return true
		}
	}
	return len(m) == 0
}

func all(selector []*labels.Matcher, lset labels.Labels) bool {
	for _, one := range selector {
		if !one.Matches(lset.Get(one.Name)) {
			return false
		}
	}
	return true
}
