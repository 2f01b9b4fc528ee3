"""The API before `map`, until its callers have moved to `quantilizers.execution.dask_cluster`."""

from quantilizers.execution.dask_cluster import DaskCluster

__all__ = ["DaskCluster"]
