"""Where work is done: in this process, in others of this machine, or in a Dask cluster's."""
