"""The methods text of a study, from its real settings, counts and versions.

What belongs here: sentences. What does not: gathering what they say from the study file and the lake
(``resources.methods``), or showing them (the report, ``affectlake export``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Values = Mapping[str, Any]
Paragraph = tuple[str, str]

_AGENTS: dict[str, Callable[[Values], str]] = {
    "ratings": lambda m: (
        f"the odd one out follows from the human {m['scale']} ratings; the pair of clips whose rating "
        "vectors have the highest cosine is kept"
    ),
    "text": lambda m: (
        f"the sentence-embedding model {m['model']} on the captions; cosines of the three pairs, divided "
        f"by {m['temperature']:g}, give the answer's probabilities by softmax"
    ),
    "simulated": lambda m: (
        f"SIMULATED answers from a planted space (temperature {m['temperature']:g}, lapse rate {m['lapse']:g})"
    ),
    "recorded": lambda m: "judgments recorded elsewhere, read from a file",
    "features": lambda m: (
        f"{'the human ' + m['scale'] + ' ratings' if m.get('scale') else 'a feature space'} as they are, "
        "without judgments"
    ),
    "openai": lambda m: f"the model {m['model']} behind an OpenAI-style service, reading the captions",
    "anthropic": lambda m: f"the model {m['model']} behind Anthropic's service, reading the captions",
}

_SCANS = {
    "bids": "Images from derivatives in fMRIPrep's layout, and an atlas, gave voxels and regions.",
    "timeseries": "Each region was given as one time series.",
    "responses": "Responses were estimated elsewhere and given as one matrix a subject.",
    "bdata": "Responses were estimated elsewhere and given as BData files.",
}


def paragraphs(settings: Values, counts: Values, versions: Mapping[str, str]) -> list[Paragraph]:
    """Describe how a study's results were made.

    Parameters
    ----------
    settings : mapping
        The study file with its defaults, as plain JSON values.
    counts : mapping
        What the tables hold; a key may be absent. ``clips``, ``duplicates``, ``captions``, ``rated`` (clips with
        ratings), ``regions`` (int); ``triplets`` (purpose to int); ``models`` (name to a mapping of ``judgments``,
        ``given_up``, ``n_train``, ``n_dimensions``); ``subjects`` (name to a mapping of ``runs``, ``presentations``,
        ``voxels``, ``dropped``).
    versions : mapping of str to str
        Packages with their versions.

    Returns
    -------
    list of (heading, text)
        Plain text without markup; a part that the study lacks has no paragraph.
    """
    made = (
        ("Stimuli", _stimuli(settings, counts)),
        ("Judgments", _judgments(settings, counts)),
        ("Embeddings", _embeddings(settings, counts)),
        ("Brain responses", _responses(settings, counts)),
        ("Encoding models", _encoding(settings)),
        ("Similarity analysis", _similarity(settings)),
        ("Decoding", _decoding(settings)),
        ("Comparison of models", _comparisons(settings)),
        ("Software", _software(versions)),
    )
    return [(heading, text) for heading, text in made if text]


def _stimuli(settings: Values, counts: Values) -> str:
    parts = []
    if settings.get("synthetic"):
        parts.append("All data of this study are SYNTHETIC: generated from a planted affective space.")
    repeats = counts.get("duplicates", 0)
    aside = f"; {_n(repeats, 'further clip', 'further clips')}, known to repeat one of them, stood aside"
    parts.append(f"The stimuli were {_n(counts.get('clips', 0), 'clip')}{aside if repeats else ''}.")
    if settings.get("captions"):
        used = {"first": "the first one", "random": "one drawn at random", "all": "all"}[settings["captions"]["use"]]
        shown = f"There were {_n(counts.get('captions', 0), 'written description')}, of which {used} of a clip"
        parts.append(f"{shown} stood for it where a judge reads.")
    if settings.get("ratings"):
        parts.append(f"Human ratings were available for {_n(counts.get('rated', 0), 'clip')}.")
    scored = {"all": "all clips", "captioned": "the clips that have captions"}
    parts.append(f"Every model was scored on {scored.get(settings['items'], 'a declared list of clips')}.")
    return " ".join(parts)


def _judgments(settings: Values, counts: Values) -> str:
    asked = [m for m in settings.get("models", ()) if m["agent"] != "features"]
    if not settings.get("models"):
        return ""
    planned = counts.get("triplets", {})
    parts = []
    if asked and planned:
        listed = _join([f"{n:,} for {purpose}" for purpose, n in planned.items()])
        parts.append(
            "Each judge was shown three clips and said which is the odd one out. Triplets were drawn at random "
            f"without repetition (seed {settings['triplets']['seed']}): {listed}; no triplet served two purposes."
        )
    parts.append("The models: " + "; ".join(_model(m, counts) for m in settings["models"]) + ".")
    lost = sum(found.get("given_up", 0) for found in counts.get("models", {}).values())
    if asked:
        parts.append(
            "An answer counted only where it named one of the three clips; "
            + (f"{_n(lost, 'question')} ended without one and left no judgment." if lost else "none was left open.")
        )
    return " ".join(parts)


def _model(model: Values, counts: Values) -> str:
    found = counts.get("models", {}).get(model["name"], {})
    control = " (a control)" if model.get("control") else ""
    answers = f", {_n(found['judgments'], 'judgment')}" if found.get("judgments") else ""
    return f"{model['name']}{control}: {_AGENTS[model['agent']](model)}{answers}"


def _embeddings(settings: Values, counts: Values) -> str:
    names = [m["name"] for m in settings.get("models", ()) if m["agent"] != "features"]
    if not names:
        return ""
    s = settings["embedding"]
    tenth = "chosen by the likelihood of a held-out tenth of the training judgments"
    penalty = tenth if s["l1"] == "auto" else f"set to {s['l1']:g}"
    made = counts.get("models", {})
    kept = _join([f"{made[n]['n_dimensions']} ({n})" for n in names if made.get(n, {}).get("n_dimensions")])
    kept = f" The dimensions kept: {kept}." if kept else ""
    later = (
        " (where judgments came in later, from where each run had ended before, and from random starts again with half "
        "as many more)"
        if s.get("refit_share")
        else ""
    )
    return (
        "From each judge's training judgments a sparse non-negative embedding was learnt (SPoSE; Hebart et al. 2020, "
        "Nature Human Behaviour 4, 1173-1185; as used by Du et al. 2025, arXiv 2509.24298), starting from "
        f"{s['dimensions']} dimensions, with the sparsity penalty {penalty}. The fit was made "
        f"{s['seeds']} times from random starts{later} (first seed {s['seed']}); a dimension's reproducibility is its "
        "highest correlation with a dimension of another run, averaged on Fisher's z. Of dimensions that correlate "
        f"above 0.4 one was kept, and at most {s['keep']} of the most reproducible in all.{kept} Held-out accuracy "
        "counts ties as wrong; its 95 % interval is over clips, and the noise ceiling, where questions were repeated, "
        "is the mean share of the most frequent answer. Dimensions were named by the ratings that they correlate with "
        "(Pearson r, Benjamini-Hochberg q < .05, r at least 0.2 and half of the dimension's strongest)."
    )


def _responses(settings: Values, counts: Values) -> str:
    brain = settings.get("brain")
    if not brain:
        return ""
    parts = [_SCANS[brain["format"]]]
    parts += _taken_out(brain)
    if brain.get("estimator") == "glm":
        parts.append(
            "The response to a clip is its estimate in a general linear model of its own (least squares, separate; "
            "Mumford et al. 2012, NeuroImage 59, 2636-2643), with all others in one regressor, Glover's haemodynamic "
            "response and cosine drifts."
        )
    elif "shift_s" in brain:
        parts.append(
            f"The response to a clip is the mean over its block and {brain['rest_s']:g} s of rest after it, shifted by "
            f"{brain['shift_s']:g} s for the haemodynamic delay."
        )
    if brain.get("despike"):
        parts.append("Signals were clipped at three standard deviations of their run before.")
    parts.append(
        "Responses were z-scored within runs; of several presentations of one clip the first was used. Voxels that "
        "were constant or not a number in any run were dropped and counted."
    )
    people = [_subject(name, found) for name, found in counts.get("subjects", {}).items()]
    if people:
        parts.append(f"{_n(len(people), 'subject')}: {'; '.join(people)}.")
    return " ".join(parts)


def _taken_out(brain: Values) -> list[str]:
    """What was removed from the signals, or modelled, before responses were estimated."""
    names = brain.get("confounds") or ()
    shown = _join(list(names)) if all(isinstance(n, str) for n in names) else "regressors of motion and the like"
    parts = [f"Confounds were regressed out run by run ({shown})."] if names else []
    if brain.get("high_pass_s"):
        parts.append(f"Drifts slower than {brain['high_pass_s']:g} s were removed with a set of cosines.")
    return parts


def _subject(name: str, found: Values) -> str:
    return (
        f"{name}, {_n(found['presentations'], 'presentation')} in {_n(found['runs'], 'run')}, "
        f"{_n(found['voxels'], 'voxel')} ({found['dropped']:,} dropped)"
    )


def _encoding(settings: Values) -> str:
    if not settings.get("brain") or not settings.get("models"):
        return ""
    s = settings["encoding"]
    sharing = {
        "target": "each voxel has its own",
        "roi": "the voxels of a region share one",
        "shared": "all voxels share one",
    }[s["alpha"]]
    text = (
        "Voxel responses were predicted from each embedding by ridge regression, cross-validated over "
        f"{s['folds']} folds of consecutive runs; no clip stood on both sides of a split. Features were standardized "
        f"with the training rows. The penalty ({sharing}; {_grid(s['alphas'])}) had the least mean squared error over "
        "inner folds of the training rows. The score is Pearson's r within each held-out fold, averaged over folds by "
        "presentations, then over a region's voxels; a constant prediction scores 0."
    )
    analytic = _ANALYTIC if s.get("voxel_p") == "analytic" else ""
    if not s["null"]:
        return text + analytic
    return (
        f"{text} Its null comes from {s['null']:,} permutations of the stimuli within runs, after each of which every "
        f"fold was fitted again (seed {s['seed']}); p is one-sided and q is Benjamini-Hochberg's, over the regions of "
        f"one subject and model.{analytic}"
    )


_ANALYTIC = (
    " Single voxels have the p of unrelated Gaussian vectors, with twice the variance of independent folds because "
    "folds that are held out in turn train each other."
)


def _grid(alphas: Any) -> str:
    if isinstance(alphas, Mapping):
        low, high, n = alphas["logspace"]
        return f"{n} values evenly spaced on a log scale from 10^{low:g} to 10^{high:g}"
    return f"one of {_join([f'{a:g}' for a in alphas])}"


def _similarity(settings: Values) -> str:
    if not settings.get("brain") or not settings.get("models"):
        return ""
    null, rsa = settings["encoding"]["null"], settings.get("rsa") or {}
    tested = f", tested against {null:,} permutations of the clips" if null else ""
    names = {"pearson": "Pearson's r", "spearman": "Spearman's rho"}
    score = _join([names[m] for m in rsa.get("methods") or ("pearson",)])
    return (
        "The similarity of two clips in an embedding is the probability that they are kept together, averaged over all "
        "third clips; for a feature space it is the correlation of their vectors. In a region it is the correlation of "
        f"their response patterns. The score is {score} of the two upper triangles{tested}."
        f"{_partial(rsa)}{_searchlight(rsa)}"
    )


def _partial(rsa: Values) -> str:
    names = list(rsa.get("partial") or ())
    return f" It was computed again with the similarities of {_join(names)} taken out of both sides." if names else ""


def _searchlight(rsa: Values) -> str:
    light = rsa.get("searchlight")
    if not light:
        return ""
    shape = "spheres" if light["shape"] == "sphere" else "cubes"
    return (
        f" The same was done around each voxel (searchlight: {shape} of radius {light['radius']:g} voxels, Pearson's "
        f"r, at least {light['min_voxels']} voxels) on the clips that all models cover, and averaged inside regions."
    )


def _decoding(settings: Values) -> str:
    names = list((settings.get("decoding") or {}).get("models") or ())
    if not settings.get("brain") or not names:
        return ""
    null = settings["decoding"]["null"]
    tested = f" Both were tested against {null:,} permutations of the clips within runs." if null else ""
    return (
        f"As a reverse check the dimensions of {_join(names)} were predicted from each region's responses by ridge "
        "regression over the same folds, with one penalty a fold. Scores are the mean of Pearson's r over dimensions, "
        "and pairwise identification: how often a prediction correlates more with its own clip's dimensions than with "
        f"those of another clip of the held-out fold (chance .5).{tested}"
    )


def _comparisons(settings: Values) -> str:
    if not settings.get("brain") or len(settings.get("models", ())) < 2:
        return ""
    n = len(settings["brain"]["subjects"])
    few = f"; with {_n(n, 'subject')} such a test says little, and every subject's value is given" if n < 10 else ""
    return (
        "Models were compared in each region by paired two-sided t-tests over subjects, with Benjamini-Hochberg's q "
        f"over the regions of a pair of models{few}. Models that do not cover the scored clips took no part."
    )


def _software(versions: Mapping[str, str]) -> str:
    return f"Computed with {_join([f'{name} {version}' for name, version in versions.items()])}." if versions else ""


def _n(count: int, thing: str, things: str | None = None) -> str:
    return f"{count:,} {thing if count == 1 else things or thing + 's'}"


def _join(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
