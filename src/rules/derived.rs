//! Names that have a value without being written in a line or on its stream: they are derived from what is.

/// Every derived name, sorted. What each means and where its value comes from stands in `docs/rules.md`.
pub const DERIVED: [&str; 9] = [
    "detected_level",
    "installer",
    "level",
    "namespace",
    "node",
    "run_attempt",
    "run_id",
    "service_name",
    "workload",
];

/// Whether `name` is a derived one.
pub(super) fn is_derived(name: &str) -> bool {
    DERIVED.binary_search(&name).is_ok()
}
