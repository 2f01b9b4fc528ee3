"""Episodes of demonstrations, which know no environment: arrays, files, selection, merging."""
