"""The code location: definitions, partitions, planning, command line."""

import os

# Read by polars' allocator when polars is first imported. By default it keeps what was freed for ten seconds and more:
# a run that asks 300,000 questions held 50 MB for nothing.
os.environ.setdefault("_RJEM_MALLOC_CONF", "dirty_decay_ms:0,muzzy_decay_ms:0")
