package collect

// selfMetrics are those of collecting itself.
func selfMetrics() []MetricDefinition {
	return []MetricDefinition{
		gauge("collector_up", "", "1 where the last collection succeeded, 0 where it failed or did not end in time.", Self),
		gauge("collector_last_success_timestamp_seconds", "seconds", "When a collection last succeeded, in seconds since 1970.", Self),
		gauge("collector_duration_seconds", "seconds", "How long the last collection took.", Self),
		gauge("collector_series", "", "Series that the last collection yielded.", Self),
		counter("collector_samples_total", "", "Samples that were stored.", Self),
		counter("collector_late_samples_total", "", "Samples that came or changed after their period was final, and no longer count.", Self),
		counter("collector_partial_responses_total", "", "Answers of the source that were not whole.", Self),
		counter("collector_unit_mismatch_total", "", "Samples refused since their type or unit is not that of the registry.", Self),
		counter("collector_refused_samples_total", "", "Samples refused, by reason.", Self).by("reason"),
		counter("collector_skipped_total", "", "Collections that were not begun since the one before had not ended.", Self),
		counter("collector_api_requests_total", "", "Requests to the source, by API and answer.", Self).by("api", "code"),
		counter("collector_api_throttled_total", "", "Requests that the source turned away as too many.", Self).by("api"),
		counter("collector_billable_units_total", "", "What the source charges for: metrics requested or series returned.", Self).by("api"),
	}
}
