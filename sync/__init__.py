"""The worker: pull, rescore, write back, enrol. Each step is a plain function that CLI, worker and tests call."""
