"""The science of affectlake: pure functions on arrays and frames.

Imports no Dagster, opens no socket and never touches the lake.
"""
