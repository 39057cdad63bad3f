"""A search that starts from what was found on related data, beside one that starts from nothing.

For each pair of tables (`pairs.py`) the first is trained on; then the second three times with the same seed, budget and
split: with what the memory knows by then of all first tables of that seed, with what it knows of an unrelated one alone
(which is forced on it), and with nothing. All searches have the same number of trials, and none is cut by time or
patience. Wanted: half of the trials, in the median, until the score is reached that the cold search has after all of
its own; and a model that is no worse on rows that nobody has seen.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pairs import PAIRS, TARGET, Pair

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.settings import Settings

__all__ = ["Row", "Trained", "interval", "measured", "reached"]

BAR = 0.5
MARGIN = 0.02
"""By how much of what the cold search gains over the baseline a warm one may seem to be worse: the noise."""


@dataclass(frozen=True)
class Trained:
    """What a training came to; ``scores`` by trial, higher is better, None for those that were given up."""

    run: str
    task: str
    scores: list[float | None]
    test: float
    baseline: float
    began: list[str]
    won: bool

    @property
    def best(self) -> float:
        """The best score of all trials."""
        return max(one for one in self.scores if one is not None)


@dataclass(frozen=True)
class Row:
    """A pair with a seed: the trainings on the second table, and whether the right first one was found."""

    pair: str
    seed: int
    cold: Trained
    warm: Trained
    misled: Trained | None
    found: bool

    @property
    def ratio(self) -> float:
        """The trials of the warm search by those of the cold one, until the cold one's best; never is one too many."""
        return reached(self.warm.scores, self.cold.best) / reached(self.cold.scores, self.cold.best)

    def gained(self, other: Trained) -> float:
        """How much better than the cold one a model is on unseen rows, in parts of what that gains on the baseline."""
        whole = abs(self.cold.test - self.cold.baseline)
        return (other.test - self.cold.test) / whole if whole else 0.0


def reached(scores: Sequence[float | None], level: float) -> int:
    """Return the number of trials until a score is reached; one more than there are where it never is."""
    places = (place for place, one in enumerate(scores, start=1) if one is not None and one >= level - 1e-12)
    return next(places, len(scores) + 1)


def trained(orchestrator: Orchestrator, rows: Any, seed: int, trials: int, **tuning: Any) -> Trained:  # noqa: ANN401
    """Train, and return how each trial and the model did."""
    spec = {"trials": trials, "seconds": 7200, "trials_as": "step", **tuning}
    run = orchestrator.train_model(rows, TARGET, name="model", seed=seed, tuning=spec, tracking=False)
    facts = run.model_dump(mode="json")
    if facts["search"]["trials"] != trials:
        message = f"{run.run_id} had {facts['search']['trials']} of {trials} trials: {facts['search']['stopped_by']}"
        raise SystemExit(message)
    sign = 1 if facts["search"]["greater_is_better"] else -1
    board = sorted(facts["leaderboard"], key=lambda one: one["trial"])
    whole = [one["state"] == "complete" and one["score"] is not None for one in board]
    return Trained(
        run=run.run_id,
        task=facts["task"],
        scores=[sign * one["score"] if full else None for one, full in zip(board, whole, strict=True)],
        test=sign * facts["metrics"][facts["metric"]]["value"],
        baseline=sign * facts["baseline"][facts["metric"]],
        began=[one["run"] for one in facts["warm_start"]["from"]],
        won=facts["warm_start"]["won"],
    )


def measured(folder: Path, seed: int, trials: int, names: Sequence[str], *, mislead: bool) -> list[Row]:
    """Train on all first tables, then on each second one, in one home."""
    folder.mkdir()
    made: dict[str, Pair] = {name: PAIRS[name](seed) for name in names}
    rows: list[Row] = []
    with Orchestrator(settings=Settings.load(folder, workers=1), in_process=True) as orchestrator:
        before = {name: trained(orchestrator, one, seed, trials, warm="off") for name, (one, _) in made.items()}
        orchestrator.chronicle.catch_up()
        for place, (name, (_, rows_now)) in enumerate(made.items()):
            warm = trained(orchestrator, rows_now, seed, trials)  # the first, as what follows is of the same table
            turned = [*names[place + 1 :], *names[:place]]
            kin = name.split()[0].strip(",")
            others = [one for one in turned if before[one].task == warm.task and not one.startswith(kin)]
            other = before[others[0]].run if others and mislead else None
            misled = None if other is None else trained(orchestrator, rows_now, seed, trials, start_from=[other])
            cold = trained(orchestrator, rows_now, seed, trials, warm="off")
            rows.append(Row(name, seed, cold, warm, misled, before[name].run in warm.began))
            print(line(rows[-1]), flush=True)
    return rows


def line(row: Row) -> str:
    """Return a row of the table."""
    level = row.cold.best
    places = [str(reached(one.scores, level)) for one in (row.cold, row.warm)]
    never = len(row.warm.scores) + 1
    places[1] = "never" if places[1] == str(never) else places[1]
    unrelated = "" if row.misled is None else f"{row.gained(row.misled):+8.3f}"
    source = "right" if row.found else f"{len(row.warm.began)} other" if row.warm.began else "none"
    figures = f"{row.ratio:6.2f} {row.gained(row.warm):+8.3f} {unrelated:>9}"
    return (
        f"{row.pair:<20}{row.seed:>5}{places[0]:>7}{places[1]:>7} {figures}  {source}{', won' if row.warm.won else ''}"
    )


def interval(rows: Sequence[tuple[str, float]]) -> tuple[float, float, float]:
    """Return the mean over pairs with its 95 % interval (Student's t); seeds of one pair are averaged first."""
    from scipy.stats import t

    by_pair: dict[str, list[float]] = {}
    for name, value in rows:
        by_pair.setdefault(name, []).append(value)
    means = [statistics.fmean(values) for values in by_pair.values()]
    mean = statistics.fmean(means)
    if len(means) < 2:
        return mean, -math.inf, math.inf
    half = float(t.ppf(0.975, len(means) - 1)) * statistics.stdev(means) / math.sqrt(len(means))
    return mean, mean - half, mean + half


def judged(rows: Sequence[Row]) -> list[str]:
    """Print the medians and the intervals, and return the bars that were missed."""
    ratios = [row.ratio for row in rows]
    by_pair = [statistics.median(row.ratio for row in rows if row.pair == name) for name in {row.pair for row in rows}]
    never = sum(reached(row.warm.scores, row.cold.best) > len(row.warm.scores) for row in rows)
    print(f"\ntrials, warm by cold: median {statistics.median(ratios):.2f} of {len(ratios)}", end="; ")
    print(f"median of the pairs' medians {statistics.median(by_pair):.2f}; never reached {never} times")
    missed = [] if statistics.median(ratios) <= BAR else [f"the median is above {BAR}"]
    for what, pairs in (
        ("warm", [(row.pair, row.gained(row.warm)) for row in rows]),
        ("unrelated", [(row.pair, row.gained(row.misled)) for row in rows if row.misled is not None]),
    ):
        if not pairs:
            continue
        mean, low, high = interval(pairs)
        print(f"unseen rows, {what} less cold, in parts of the gain: {mean:+.4f} [{low:+.4f}, {high:+.4f}]")
        if high < 0 or mean < -MARGIN:
            missed.append(f"{what} is worse than cold")
    print(f"the right table was found {sum(row.found for row in rows)} times of {len(rows)}")
    return missed


def main() -> None:
    """Measure, print, and end with an error when a bar is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="The first seed.")
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--unrelated", type=int, default=1, help="Seeds with which unrelated tables are tried as well.")
    parser.add_argument("--pairs", nargs="*", default=list(PAIRS), choices=list(PAIRS))
    given = parser.parse_args()
    print(f"{'pair':<20}{'seed':>5}{'cold':>7}{'warm':>7} {'ratio':>6} {'test':>8} {'unrelated':>9}  started from")
    with tempfile.TemporaryDirectory() as folder:
        rows: list[Row] = []
        for seed in range(given.first, given.first + given.seeds):
            mislead = seed < given.first + given.unrelated
            rows += measured(Path(folder) / str(seed), seed, given.trials, given.pairs, mislead=mislead)
    missed = judged(rows)
    if missed:
        sys.exit(f"missed: {'; '.join(missed)}")


if __name__ == "__main__":
    main()
