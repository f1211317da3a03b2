"""``python -m dagster_project`` is the command ``affectlake``."""

from dagster_project.cli import main

main()
