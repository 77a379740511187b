"""A refresh of a window against a full one, resumed against undisturbed, and with errors planted."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from conan_data.mining.config import SelectionConfig
from conan_data.mining.search.exact import ExactSearcher
from conan_train.negatives.depth import window as window_module
from conan_train.negatives.depth.window import WindowMiner
from conan_train.negatives.generation import Generation
from conan_train.negatives.miner import Mining
from tests.conan_train.negatives.depth.world import WorldEncoder, make_pairs

PAIRS = make_pairs()
SELECTION = SelectionConfig(pool_size=12, depth=24, margin=1.0)
WINDOW = np.arange(5, 35)
NONE = Generation(
    name="", step=-1, row_QP=np.zeros((60, 0), np.int32), score_QP=np.zeros((60, 0), np.float32)
)


def miner(folder: Path, **values: object) -> WindowMiner:
    settings = {
        "pairs": PAIRS,
        "selection": SELECTION,
        "num_negatives": 3,
        "searcher": ExactSearcher(memory=50_000_000),
        "folder": folder,
        "budget": 300,
        "query_cost": 0.5,
        "full_up_to": 0,
        "sample": 100,
        "max_error": 0.5,
    }
    return WindowMiner(**settings | values)  # type: ignore[arg-type]


def mine(own: WindowMiner, step: int, *, wobble: float = 0.0, window: np.ndarray | None = WINDOW) -> Mining:
    return own.mine(WorldEncoder(step, wobble), step=step, window=window, previous=NONE)


def agreement(one: Mining, other: Mining, queries: np.ndarray = WINDOW) -> float:
    first, second = one.pools.rows[queries, :3], other.pools.rows[queries, :3]
    assert (second >= 0).all(), "nothing to agree on"
    return float((first[:, :, None] == second[:, None, :]).any(2).mean())


def test_the_first_refresh_encodes_everything_and_so_does_one_without_a_window(tmp_path: Path) -> None:
    own = miner(tmp_path)
    first = mine(own, 0)
    assert (first.depth, first.num_documents, first.num_queries) == ("full", 600, 60)
    assert mine(own, 10, window=None).depth == "full"


def test_a_set_that_is_within_the_budget_is_encoded_as_a_whole(tmp_path: Path) -> None:
    for name, values in {"cheap": {"budget": 630}, "small": {"full_up_to": 600}}.items():
        own = miner(tmp_path / name, **values)
        mine(own, 0)
        assert mine(own, 10).depth == "full"


def test_a_space_that_only_turns_is_followed_to_the_last_negative(tmp_path: Path) -> None:
    own = miner(tmp_path / "window", budget=120)
    stale = mine(own, 0)
    encoder = WorldEncoder(40)
    found = own.mine(encoder, step=40, window=WINDOW, previous=NONE)
    full = mine(miner(tmp_path / "full"), 40)
    assert found.depth == "window" and full.depth == "full"
    assert agreement(found, full) > 0.97
    assert found.num_documents + 0.5 * found.num_queries <= 120
    assert found.figures["drift"] > 0.3 and found.figures["map_error"] < 0.01
    assert len(encoder.asked) == len(set(encoder.asked)) == found.num_documents + found.num_queries
    others = np.setdiff1d(np.arange(60), WINDOW)
    assert np.array_equal(found.pools.rows[others], stale.pools.rows[others])


def test_a_sample_leaves_room_in_a_small_budget(tmp_path: Path) -> None:
    own = miner(tmp_path, budget=80, max_error=2.0)
    mine(own, 0, wobble=0.005)
    found = mine(own, 40, wobble=0.005)
    assert found.depth == "window" and found.num_documents + 0.5 * found.num_queries <= 80


@pytest.mark.parametrize("wobble", [0.005, 0.01])
def test_the_boundary_makes_up_for_what_the_map_cannot_know(tmp_path: Path, wobble: float) -> None:
    full = mine(miner(tmp_path / "full"), 40, wobble=wobble)
    by_budget = []
    for budget in (115, 200, 400):
        own = miner(tmp_path / str(budget), budget=budget)
        mine(own, 0, wobble=wobble)
        found = mine(own, 40, wobble=wobble)
        assert found.depth == "window"
        by_budget.append((agreement(found, full), found.figures["expected_wrong"]))
    agreements, expected = zip(*by_budget, strict=True)
    assert agreements[0] < agreements[1] < agreements[2] and agreements[2] > 0.9
    assert expected[0] > expected[1] > expected[2]


def test_drift_that_the_map_cannot_follow_makes_the_refresh_full(tmp_path: Path) -> None:
    own = miner(tmp_path, max_error=0.05)
    mine(own, 0, wobble=0.02)
    found = mine(own, 40, wobble=0.02)
    assert found.depth == "full" and found.figures["map_error"] > 0.05
    mine(own, 41, wobble=0.02)


def same(one: Mining, other: Mining) -> bool:
    arrays = ("rows", "scores", "ranks", "positive_scores")
    return one.depth == other.depth and all(
        getattr(one.pools, name).tobytes() == getattr(other.pools, name).tobytes() for name in arrays
    )


def steps_of(own: WindowMiner, steps: list[int]) -> list[Mining]:
    return [mine(own, step, wobble=0.005, window=(WINDOW + step) % 60) for step in steps]


@pytest.mark.parametrize("back_to", [0, 1, 2, 3])
def test_a_run_that_goes_back_to_any_refresh_mines_the_same(tmp_path: Path, back_to: int) -> None:
    steps = [0, 10, 20, 30, 40]
    undisturbed = steps_of(miner(tmp_path / "a"), steps)
    assert [mining.depth for mining in undisturbed] == ["full"] + ["window"] * 4
    steps_of(miner(tmp_path / "b"), steps)
    again = steps_of(miner(tmp_path / "b"), steps[back_to:])
    assert all(map(same, undisturbed[back_to:], again))


def test_a_damaged_or_lost_state_ends_in_a_full_refresh(tmp_path: Path) -> None:
    own = miner(tmp_path)
    steps_of(own, [0, 10])
    (tmp_path / "step-00000010.safetensors").write_bytes(b"half")
    assert mine(own, 20).depth == "full"
    shutil.rmtree(tmp_path / "base-00000020")
    assert mine(own, 30).depth == "full"


def test_planted_errors_are_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A map from the wrong pairs, and documents of an age with the map of another."""
    full = mine(miner(tmp_path / "full"), 40)
    own = miner(tmp_path / "pairs", budget=120)
    mine(own, 0)
    fit = window_module.fit_and_check
    monkeypatch.setattr(
        window_module, "fit_and_check", lambda then, now, **kw: fit(then[::-1].copy(), now, **kw)
    )
    assert mine(own, 40).depth == "full"
    monkeypatch.undo()

    own = miner(tmp_path / "ages", budget=300)
    mine(own, 0)
    mine(own, 20)
    assert agreement(mine(own, 40), full) > 0.97
    monkeypatch.setattr(window_module, "fit_map", lambda then, now, **kw: fit(now, now, **kw).map)
    assert agreement(mine(own, 40), full) < 0.9
