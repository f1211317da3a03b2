"""How a study's results are cited: a CITATION.cff of the results, which names the program and the paper."""

from __future__ import annotations

from collections.abc import Mapping

import yaml


def citation(study: str, versions: Mapping[str, str], *, synthetic: bool) -> str:
    """Text of a CITATION.cff (format 1.2.0).

    Parameters
    ----------
    study : str
        Name of the study.
    versions : mapping of str to str
        Packages with their versions; affectlake's own is cited.
    synthetic : bool
        True for generated data, which the title says.
    """
    told = {
        "cff-version": "1.2.0",
        "message": "If you use these results, please cite the program and the paper that it re-implements, and add "
        "yourselves as authors of the results.",
        "title": f"Results of the study {study}{' (SYNTHETIC data)' if synthetic else ''}",
        "type": "dataset",
        "authors": [{"name": "The authors of the study"}],
        "references": [
            {
                "type": "software",
                "title": "affectlake",
                "version": versions["affectlake"],
                "license": "BSD-3-Clause",
                "authors": [{"name": "The affectlake developers"}],
            },
            {
                "type": "article",
                "title": "Bridging the behavior-neural gap",
                "authors": [{"family-names": "Du", "given-names": "Changde"}],
                "year": 2025,
                "notes": "arXiv 2509.24298",
            },
        ],
    }
    return yaml.safe_dump(told, sort_keys=False, allow_unicode=True, width=120)
