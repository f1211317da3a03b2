"""The code location: definitions, partitions, planning, command line."""

import os

# Before the libraries are loaded whose allocator reads it (polars, deltalake; each process of ours begins here): what
# is freed goes back to the system after .1 s and not after 1.5, since asking frees more in a second than it holds.
os.environ.setdefault("_RJEM_MALLOC_CONF", "dirty_decay_ms:100,muzzy_decay_ms:0")
