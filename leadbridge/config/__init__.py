"""Configuration: the schema of `leadbridge.yaml` and its loading."""
