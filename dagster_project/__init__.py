"""The code location: definitions, partitions, planning, command line."""
