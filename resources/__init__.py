"""The outside world as Dagster resources: the lake, the study's settings, agents, the device."""
