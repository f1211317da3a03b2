"""The recipes say what the assets really read and write."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from affectlake.tables import TABLES
from assets import STAGES, build_assets
from assets.recipes import RECIPES, Recipe
from resources.study import load_study

STUDY = load_study(Path(__file__).parents[2] / "studies" / "demo.yaml")
ASSETS = [a for a in build_assets(STUDY) if isinstance(a, dg.AssetsDefinition)]


def definition(recipe: Recipe) -> dg.AssetsDefinition:
    return next(a for a in ASSETS if recipe.name in {k.path[-1] for k in a.keys})


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: r.name)
def test_a_recipe_names_the_tables_that_its_asset_reads_and_writes(recipe: Recipe) -> None:
    asset = definition(recipe)
    assert {k.path[-1] for k in asset.keys} == set(recipe.outputs)
    assert {k.path[-1] for k in asset.dependency_keys} == set(recipe.inputs)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: r.name)
def test_what_matters_for_a_partition_is_among_the_inputs(recipe: Recipe) -> None:
    for model in STUDY.model_names:
        key = {"model": model, "subject": "sub-01"}
        assert set(recipe.used(STUDY, key)) <= set(recipe.inputs)


def test_recipes_stand_upstream_first() -> None:
    made: set[str] = set()
    for recipe in RECIPES:
        assert set(recipe.inputs) <= made
        made |= set(recipe.outputs)
    assert [stage[0] for stage in STAGES] == list(RECIPES)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: r.name)
def test_all_outputs_of_a_recipe_have_the_same_partitions(recipe: Recipe) -> None:
    dims = {tuple(d for d in TABLES[t].partition_by if d in ("model", "subject")) for t in recipe.outputs}
    assert len(dims) == 1


def test_every_asset_tells_its_reader_what_a_row_is_and_that_the_demo_is_synthetic() -> None:
    for asset in ASSETS:
        for spec in asset.specs:
            assert TABLES[spec.key.path[-1]].doc in (spec.description or "")
            assert "SYNTHETIC" in (spec.description or "")
            assert "dagster/column_schema" in spec.metadata
