"""The stages of the command line: each loads, calls, saves and prints."""
