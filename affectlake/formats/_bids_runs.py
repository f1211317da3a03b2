"""Names of BIDS and fMRIPrep: the runs of a subject, their events, masks and repetition times.

What belongs here: file names, side-cars and headers. What does not: what was shown (``_bids_events.py``).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from affectlake._nifti import open_image
from affectlake.errors import InputError

# fMRIPrep 1.2 and later, then 1.0 and 1.1.
_NEW = re.compile(
    r"^(?P<stem>.+?)(?:_space-(?P<space>[A-Za-z0-9]+))?(?:_res-(?P<res>\w+?))?_desc-preproc_bold\.nii(\.gz)?$"
)
_OLD = re.compile(r"^(?P<stem>.+?)_bold_space-(?P<space>[A-Za-z0-9]+)(?P<res>)_preproc\.nii(\.gz)?$")


@dataclass(frozen=True)
class Run:
    """One run of one subject.

    Attributes
    ----------
    subject, session : str
        ``sub-01``; the session's label, empty where there are no sessions.
    run : int
        1-based number over all sessions, in order of acquisition (sessions, then run labels, in natural order).
    bold : Path
        The preprocessed image.
    events : Path or None
        ``events.tsv`` of the run; None where the run has none.
    mask : Path or None
        The run's brain mask; None where there is none.
    tr_s : float
        Repetition time in seconds.
    n_volumes : int
        Volumes in the header of ``bold``.
    confounds : Path or None
        The run's table of confounds; None where there is none.
    """

    subject: str
    session: str
    run: int
    bold: Path
    events: Path | None
    mask: Path | None
    tr_s: float
    n_volumes: int
    confounds: Path | None = None


def find_runs(root: Path, subject: str, *, space: str | None = None, task: str | None = None) -> list[Run]:
    """Find the preprocessed runs of one subject.

    Events are looked for beside the image, then in the raw dataset that the derivatives came from, since fMRIPrep does
    not copy them: in ``root``, its ``sourcedata/raw``, and the two folders above it.

    Parameters
    ----------
    root : Path
        The derivatives dataset, or a folder that holds it as ``fmriprep``.
    subject : str
        Label with or without ``sub-``.
    space : str, optional
        Space of the images as in their names, ``MNI152NLin2009cAsym`` or ``MNI152NLin2009cAsym:res-2``; ``func`` for
        images without one. May be left out where there is only one.
    task : str, optional
        Task as in the names. May be left out where there is only one.

    Returns
    -------
    list of Run
        In order of acquisition; at least one.

    Raises
    ------
    InputError
        The subject, its images, its events or a repetition time are missing, an image is empty or unreadable, or
        space or task could mean several images.
    """
    name = subject if subject.startswith("sub-") else f"sub-{subject}"
    folder = _subject_folder(root, name)
    images = _only("space", space, folder, {p: s for p in sorted(folder.glob("**/func/*")) if (s := image_space(p))})
    images = _only("task", task, folder, {p: _entity(p.name, "task") for p in images})
    images.sort(key=_acquired)
    for image, following in pairwise(images):
        if _acquired(image) == _acquired(following):
            raise InputError(
                f"two images of one run: {image.name} and {following.name}",
                where=str(folder),
                remedy="Set brain.space to a space with its resolution, such as MNI152NLin2009cAsym:res-2.",
            )
    runs = [_run(root, name, number, image) for number, image in enumerate(images, start=1)]
    if all(run.events is None for run in runs):
        raise InputError(
            f"{name} has no events: none of its {len(runs)} runs has an events.tsv",
            where=str(folder),
            remedy="Put them beside the images or in the raw dataset above the derivatives, or leave the subject out.",
        )
    return runs


def _subject_folder(root: Path, name: str) -> Path:
    for base in (root, root / "fmriprep", root / "fmriprep" / "fmriprep"):
        if (base / name).is_dir():
            return base / name
    found = sorted(p.name for p in root.glob("sub-*") if p.is_dir())
    raise InputError(
        f"no folder of subject {name}" + (f"; there are {', '.join(found[:10])}" if found else ""),
        where=str(root),
        remedy="Check brain.root and brain.subjects in the study file.",
    )


def image_space(path: Path) -> str:
    """Space of a preprocessed image as the study file writes it; empty for any other file."""
    match = _NEW.match(path.name) or _OLD.match(path.name)
    if match is None:
        return ""
    return (match["space"] or "func") + (f":res-{match['res']}" if match["res"] else "")


def _entity(name: str, key: str) -> str:
    match = re.search(rf"(?:^|_){key}-([A-Za-z0-9]+)", name)
    return match[1] if match else ""


def _only(key: str, wanted: str | None, folder: Path, found: dict[Path, str]) -> list[Path]:
    """Images whose ``key`` is the wanted one, or the only one that there is."""
    names = sorted(set(found.values()))
    if not names:
        raise InputError(
            "no preprocessed BOLD image of fMRIPrep (*_desc-preproc_bold.nii.gz, or *_preproc.nii.gz of old versions)",
            where=str(folder),
        )
    if wanted is None and len(names) > 1:
        raise InputError(f"images of more than one {key}: {', '.join(names)}", where=str(folder), remedy=f"Set {key}.")
    chosen = [path for path, name in found.items() if wanted in (None, name, name.split(":")[0])]
    if not chosen:
        raise InputError(f"no image of {key} {wanted}; there are {', '.join(names)}", where=str(folder))
    return chosen


def _acquired(path: Path) -> tuple[list[tuple[int, int, str]], ...]:
    return tuple(natural(_entity(path.name, key)) for key in ("ses", "run"))


def natural(label: str) -> list[tuple[int, int, str]]:
    """Sort key under which run 10 comes after run 9."""
    return [(0, int(t), "") if t.isdigit() else (1, 0, t) for t in re.findall(r"\d+|\D+", label)]


def _run(root: Path, subject: str, number: int, image: Path) -> Run:
    match = _NEW.match(image.name) or _OLD.match(image.name)
    stem = match["stem"] if match else image.stem
    n_volumes, header_tr = _header(image)
    return Run(
        subject=subject,
        session=_entity(image.name, "ses"),
        run=number,
        bold=image,
        events=_beside(root, image, re.sub(r"_(echo|desc)-[A-Za-z0-9]+", "", stem) + "_events.tsv"),
        mask=_mask(image),
        tr_s=_repetition_time(image, header_tr),
        n_volumes=n_volumes,
        confounds=_confounds(image, stem),
    )


def _mask(image: Path) -> Path | None:
    new = image.name.replace("desc-preproc_bold", "desc-brain_mask")
    old = re.sub(r"_preproc(?=\.nii)", "_brainmask", image.name)
    paths = (image.with_name(name) for name in (new, old) if name != image.name)
    return next((path for path in paths if path.is_file()), None)


def _confounds(image: Path, stem: str) -> Path | None:
    """Of fMRIPrep 20.2 and later, 1.2 to 20.1, and 1.0 to 1.1."""
    names = ("desc-confounds_timeseries", "desc-confounds_regressors", "bold_confounds")
    paths = (image.with_name(f"{stem}_{name}.tsv") for name in names)
    return next((path for path in paths if path.is_file()), None)


def _beside(root: Path, image: Path, name: str) -> Path | None:
    """A file of the same run beside the image, or at the same place of the raw dataset."""
    place = image.parent.relative_to(next(p for p in image.parents if p.name.startswith("sub-")).parent)
    bases = (root, root / "sourcedata" / "raw", root.parent, root.parent.parent)
    paths = (folder / name for folder in (image.parent, *(base / place for base in bases)))
    return next((path for path in paths if path.is_file()), None)


def _header(image: Path) -> tuple[int, float]:
    """Volumes and repetition time of an image, 0 where the header does not say."""
    header = open_image(image).header
    shape, zooms, unit = header.get_data_shape(), header.get_zooms(), header.get_xyzt_units()[1]
    if len(shape) != 4 or 0 in shape:
        raise InputError(
            f"an empty run: the image has shape {shape}, not (i, j, k, volumes)",
            where=str(image),
            remedy="Remove the run's files, or write the image again.",
        )
    return int(shape[3]), float(zooms[3]) * {"msec": 1e-3, "usec": 1e-6}.get(unit, 1.0)


def _repetition_time(image: Path, header_tr: float) -> float:
    """RepetitionTime of the side-car, else of the header."""
    path = image.with_name(re.sub(r"\.nii(\.gz)?$", ".json", image.name))
    if path.is_file():
        try:
            tr = json.loads(path.read_text(encoding="utf-8")).get("RepetitionTime")
        except (ValueError, AttributeError) as error:
            raise InputError(f"not a JSON object ({error})", where=str(path)) from error
        if isinstance(tr, int | float) and tr > 0:
            return float(tr)
        if tr is not None:
            raise InputError(f"RepetitionTime is {tr!r}, not a number of seconds above 0", where=str(path))
    if header_tr > 0:
        return header_tr
    raise InputError(
        "no repetition time: neither RepetitionTime in the side-car nor a fourth voxel size in the header",
        where=str(image),
        remedy=f"Write RepetitionTime to {path.name}.",
    )
