"""The study file: what it accepts, and what it says of a mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from affectlake.errors import StudyError
from resources.study import load_study

MINIMAL = "name: mine\nstimuli: {manifest: videos.csv}\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(StudyError) as caught:
        load_study(write(folder, text))
    return str(caught.value)


@pytest.mark.parametrize("kind", ["demo", "blank", "cowen-keltner", "alice", "horikawa2020"])
def test_every_shipped_study_file_is_valid(kind: str) -> None:
    assert load_study(Path(__file__).parents[2] / "studies" / f"{kind}.yaml").name


def test_what_is_absent_is_not_built(tmp_path: Path) -> None:
    study = load_study(write(tmp_path, MINIMAL))
    assert study.subjects == ()
    assert study.model_names == ()
    assert study.ratings is None


def test_paths_are_relative_to_the_study_file(tmp_path: Path) -> None:
    study = load_study(write(tmp_path, MINIMAL))
    assert study.resolve(study.stimuli.manifest) == tmp_path.resolve() / "videos.csv"


def test_the_key_null_is_read_as_it_is_written(tmp_path: Path) -> None:
    assert load_study(write(tmp_path, MINIMAL + "encoding: {null: 7}\n")).encoding.null == 7


def test_an_unknown_key_names_its_line_and_the_nearest_known_key(tmp_path: Path) -> None:
    text = refusal(tmp_path, MINIMAL + "captons: {file: c.csv}\n")
    assert "study.yaml:3" in text
    assert "did you mean `captions`?" in text


def test_an_unknown_key_inside_a_model_names_the_nearest_key_of_that_agent(tmp_path: Path) -> None:
    models = "captions: {file: c.csv}\nmodels:\n  - {name: a, agent: text, temprature: 1}\n"
    text = refusal(tmp_path, MINIMAL + models)
    assert "study.yaml:5" in text
    assert "did you mean `temperature`?" in text


def test_several_mistakes_are_all_told(tmp_path: Path) -> None:
    text = refusal(tmp_path, "name: Mine!\nstimuli: {manifst: v.csv}\n")
    assert "`name`" in text
    assert "`manifest`" in text
    assert "line 2" in text


def test_a_missing_study_file_says_how_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="affectlake study new"):
        load_study(tmp_path / "nothing.yaml")


@pytest.mark.parametrize("text", ["", "[", "- a\n"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    assert "study.yaml" in refusal(tmp_path, text)


def test_two_models_of_one_name_are_refused(tmp_path: Path) -> None:
    models = "ratings: {file: r.csv}\nmodels:\n" + "  - {name: a, agent: ratings, scale: category}\n" * 2
    assert "same name: a" in refusal(tmp_path, MINIMAL + models)


def test_a_model_without_its_source_names_the_section_to_add(tmp_path: Path) -> None:
    text = refusal(tmp_path, MINIMAL + "models:\n  - {name: a, agent: ratings, scale: category}\n")
    assert "`ratings: {file: ...}`" in text


@pytest.mark.parametrize("name", ["a/b", "..", "A", "a b", "a|b", "'", "-"])
def test_a_model_name_that_could_not_be_a_partition_is_refused(tmp_path: Path, name: str) -> None:
    models = f'ratings: {{file: r.csv}}\nmodels:\n  - {{name: "{name}", agent: ratings, scale: category}}\n'
    assert "models.0.name" in refusal(tmp_path, MINIMAL + models)


@pytest.mark.parametrize(
    ("brain", "told"),
    [
        ("{format: bids, root: ., subjects: [a], atlas: {file: a, labels: b}, sapce: x}", "did you mean `space`?"),
        ("{format: timeseries, series: x, subjects: [a], stimuli: s}", "`brain.tr_s`: is required"),
        ("{format: bids, root: ., subjects: [a], atlas: {fil: a, labels: b}}", "unknown key `brain.atlas.fil`"),
        ("{format: cifti, subjects: [a]}", "'bids', 'timeseries', 'responses', 'bdata'"),
    ],
)
def test_a_mistake_in_the_section_brain_is_told_by_the_keys_of_its_format(
    tmp_path: Path, brain: str, told: str
) -> None:
    assert told in refusal(tmp_path, MINIMAL + f"brain: {brain}\n")


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ("decoding: {models: [b]}", "decoding.models names unknown models: b"),
        ("rsa: {searchlight: {models: [b]}}", "rsa.searchlight.models names unknown models: b"),
        ("rsa: {partial: [b]}", "rsa.partial names unknown models: b"),
        ("rsa: {partial: [a]}", "rsa.partial names a, which is no model with `agent: features` and a `file`"),
        ("rsa: {searchlight: {raduis: 3}}", "did you mean `radius`?"),
        ("rsa: {methods: []}", "`rsa.methods`"),
        ("encoding: {voxel_p: gauss}", "`encoding.voxel_p`"),
    ],
)
def test_a_mistake_in_an_analysis_is_told(tmp_path: Path, section: str, told: str) -> None:
    models = "ratings: {file: r.csv}\nmodels:\n  - {name: a, agent: ratings, scale: category}\n"
    assert told in refusal(tmp_path, MINIMAL + models + section + "\n")


def test_a_pattern_names_the_files_that_it_stands_for_or_itself(tmp_path: Path) -> None:
    brain = "{format: bdata, data: '{subject}_*.h5', subjects: [a, b]}"
    (tmp_path / "a_2.h5").touch()
    (tmp_path / "a_1.h5").touch()
    study = load_study(write(tmp_path, MINIMAL + f"brain: {brain}\n"))
    assert [path.name for _, path in study.subject_files("a")] == ["a_1.h5", "a_2.h5"]
    assert [str(path) for _, path in study.subject_files("b")] == ["b_*.h5"]


SERVICE = (
    MINIMAL
    + "captions: {file: c.csv}\n"
    + 'profiles: {local: {base_url: "http://127.0.0.1:8000/v1", key_env: LOCAL_KEY, models: ["qwen-*"]}}\n'
    + "models:\n  - {name: q, agent: openai, profile: local, model: qwen-7b}\n"
)


def test_a_model_behind_a_service_names_a_profile_that_allows_it(tmp_path: Path) -> None:
    model = load_study(write(tmp_path, SERVICE)).model("q")
    assert model.agent == "openai"
    assert "known profiles: local" in refusal(tmp_path, SERVICE.replace("profile: local", "profile: lokal"))
    text = refusal(tmp_path, SERVICE.replace("model: qwen-7b", "model: gpt-6-luna"))
    assert "does not allow" in text
    assert "qwen-*" in text


def test_a_model_behind_a_service_needs_what_it_is_shown(tmp_path: Path) -> None:
    assert "reads captions" in refusal(tmp_path, SERVICE.replace("captions: {file: c.csv}\n", ""))
    sees = SERVICE.replace("captions: {file: c.csv}\n", "").replace("model: qwen-7b", "model: qwen-7b, input: frames")
    assert "stimuli.media_root" in refusal(tmp_path, sees)
    sees = sees.replace("stimuli: {", "stimuli: {media_root: media, frames: 4, ")
    assert load_study(write(tmp_path, sees)).model("q").agent == "openai"
    text = refusal(tmp_path, sees.replace("input: frames", "input: frames, frames: 5"))
    assert "has only 4 sampled" in text


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("agent: openai, api: responses, input: video", "need `api: chat`"),
        ("agent: openai, api: decisions, input: frames", "reads captions"),
        ("agent: openai, media_uuids: true", "the model reads captions"),
        ("agent: openai, input: video, max_usd: 3", "`max_usd` cannot be kept"),
        ("agent: anthropic, input: video", "takes no film"),
    ],
)
def test_what_cannot_be_shown_is_refused_when_the_study_is_read(tmp_path: Path, settings: str, words: str) -> None:
    text = SERVICE.replace("stimuli: {", "stimuli: {media_root: media, ").replace("agent: openai", settings)
    assert words in refusal(tmp_path, text)


def test_a_key_cannot_stand_in_the_study_file(tmp_path: Path) -> None:
    assert "unknown key `profiles" in refusal(tmp_path, SERVICE.replace("key_env: LOCAL_KEY", "key: sk-123"))
