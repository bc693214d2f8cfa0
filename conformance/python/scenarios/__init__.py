"""The scenarios of conformance/scenarios.toml, by the same names with underscores."""
