"""BIDS derivatives of fMRIPrep: find a subject's runs and read what was shown in them.

This is the public face of ``_bids_runs.py`` (file names, old and new), ``_bids_events.py`` (events and ids),
``_bids_numbering.py`` (are the ids the study's?) and ``_bids_confounds.py`` (nuisance regressors).
"""

from __future__ import annotations

from affectlake.formats._bids_confounds import read_confounds
from affectlake.formats._bids_events import PRESENTATIONS, read_events, read_presentations, read_text, resolve_stimuli
from affectlake.formats._bids_numbering import check_numbering, event_tables
from affectlake.formats._bids_runs import Run, find_runs, image_space

__all__ = [
    "PRESENTATIONS",
    "Run",
    "check_numbering",
    "event_tables",
    "find_runs",
    "image_space",
    "read_confounds",
    "read_events",
    "read_presentations",
    "read_text",
    "resolve_stimuli",
]
