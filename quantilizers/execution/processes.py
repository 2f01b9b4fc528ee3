"""The API before `map`, until its callers have moved to `quantilizers.execution.worker_processes`."""

from quantilizers.execution.worker_processes import WorkerProcesses as LocalProcesses

__all__ = ["LocalProcesses"]
