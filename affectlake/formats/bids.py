"""BIDS derivatives of fMRIPrep: find a subject's runs and read what was shown in them.

This is the public face of ``_bids_runs.py`` (file names, old and new) and ``_bids_events.py`` (events and ids).
"""

from __future__ import annotations

from affectlake.formats._bids_events import PRESENTATIONS, read_events, read_presentations
from affectlake.formats._bids_runs import Run, find_runs

__all__ = ["PRESENTATIONS", "Run", "find_runs", "read_events", "read_presentations"]
