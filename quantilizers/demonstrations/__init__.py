"""Episodes of demonstrations: arrays and their files. They know no environment."""
