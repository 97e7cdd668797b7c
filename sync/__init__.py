"""The worker: pull, rescore, write back, enrol. Each step is a plain function that the CLI, the worker and tests call."""
