"""What each command does, by topic; `leadbridge.cli` lists them. Heavy imports live inside the commands."""
