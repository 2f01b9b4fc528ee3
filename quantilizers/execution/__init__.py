"""Executors: this process, worker processes of this machine, and a Dask cluster."""
