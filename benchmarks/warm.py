"""A search that starts from what was found on related data, beside one that starts from nothing.

For each pair of tables (`pairs.py`) and each seed, which draws the tables anew and decides on split, folds and search,
the first is trained on; then the second with what the memory knows by then, also of the pairs before, and with nothing.
With some seeds a third training is misled: an unrelated table alone is forced on it. All searches have the
same number of trials, and none is cut by time or patience. Wanted: half of the trials, in the median over the pairs,
until the score is reached that a cold search has after all of its own; and a model that is no worse on rows that
nobody has seen.

How trials are counted. The best of two dozen noisy scores is luck in part, and so is the trial that it comes with:
one search tells little of a pair. So searches are compared by their mean curves, as Feurer et al. (2015) do: the best
score so far, after each trial, in the mean over the seeds. What "a cold search reaches after all its trials" is where
its mean curve ends, and what a search needs is the trials until its mean curve is there, without any tolerance; one
that never gets there counts as one trial more than it had. Before the mean is taken, the scores of a seed are put in
parts of what the cold search gains on the baseline with that seed, as tables differ in units and in noise. Every pair
counts as it is, also one with nothing to gain: there the cold search is at its end early, and a warm one that first
tries something else has a ratio above one. The interval is of the median over the pairs, with the seeds of each pair
drawn again (bootstrap). Beside it stands what single searches say: the median of each one's ratio by itself.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.core.environment import prepare
from mcp_orchestrator.settings import Settings

prepare()  # before numpy is imported: one thread
from pairs import PAIRS, TARGET  # noqa: E402

from mcp_orchestrator.methods.training import estimators  # noqa: E402

__all__ = ["Row", "Trained", "better", "curve", "interval", "measured", "needed", "reached"]

BAR = 0.5
FOLDS = 3
TREES = 50
"""Trees of a forest, a quarter of the usual number: these take most of the time."""
DRAWN = 2000
"""How often the seeds are drawn again."""
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


def curve(one: Trained, cold: Trained) -> list[float]:
    """Return the best score so far after each trial, in parts of what the cold search gains on the baseline."""
    best, gains = cold.baseline, list[float]()
    for score in one.scores:
        best = best if score is None else max(best, score)
        gains.append((best - cold.baseline) / (cold.best - cold.baseline))
    return gains


def needed(rows: Sequence[Row], kind: str = "warm") -> tuple[int, int]:
    """Return the trials until the mean curves of the cold searches and of those of another kind are at the level."""
    curves = [[curve(getattr(row, which), row.cold) for row in rows] for which in ("cold", kind)]
    cold, other = ([statistics.fmean(now) for now in zip(*each, strict=True)] for each in curves)
    return reached(cold, cold[-1]), reached(other, cold[-1])


def ratio(rows: Sequence[Row], kind: str = "warm") -> float:
    """Return the trials of the searches of a kind by those of the cold ones."""
    cold, other = needed(rows, kind)
    return other / cold


def trained(orchestrator: Orchestrator, rows: Any, seed: int, trials: int, **tuning: Any) -> Trained:  # noqa: ANN401
    """Train, and return how each trial and the model did."""
    spec = {"trials": trials, "seconds": 7200, "trials_as": "step", **tuning}
    run = orchestrator.train_model(
        rows, TARGET, name="model", seed=seed, tuning=spec, tracking=False, validation={"folds": FOLDS}, ensemble="none"
    )
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


def measured(folder: Path, seed: int, trials: int, names: Sequence[str], *, mislead: bool) -> Iterator[Row]:
    """Train on the tables of each pair in turn, in a home that remembers all before."""
    folder.mkdir()
    with Orchestrator(settings=Settings.load(folder, workers=1), in_process=True) as orchestrator:
        before: dict[str, Trained] = {}
        for name in names:
            rows_before, rows_now = PAIRS[name](seed)
            before[name] = trained(orchestrator, rows_before, seed, trials, warm="off")
            orchestrator.chronicle.catch_up()
            warm = trained(orchestrator, rows_now, seed, trials)  # the first, as what follows is of the same table
            kin = name.split()[0].strip(",")
            others = [one for one in before if before[one].task == warm.task and not one.startswith(kin)]
            other = before[others[-1]].run if others and mislead else None
            misled = None if other is None else trained(orchestrator, rows_now, seed, trials, start_from=[other])
            cold = trained(orchestrator, rows_now, seed, trials, warm="off")
            yield Row(name, seed, cold, warm, misled, before[name].run in warm.began)


def read(path: Path) -> list[Row]:
    """Return what was measured before."""
    found = [json.loads(one) for one in path.read_text("utf-8").splitlines()]
    kinds = ("cold", "warm", "misled")
    return [Row(**one | {kind: Trained(**one[kind]) if one[kind] else None for kind in kinds}) for one in found]


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


def better(rows: Sequence[Row], kind: str) -> float:
    """Return how much better models of a kind are on unseen rows, in parts of what the cold ones gain there.

    Both are means over the seeds: with one seed alone the gain may be next to nothing.
    """
    whole = abs(statistics.fmean(row.cold.test - row.cold.baseline for row in rows))
    return statistics.fmean(getattr(row, kind).test - row.cold.test for row in rows) / whole


def interval(means: Sequence[float]) -> tuple[float, float, float]:
    """Return the mean over pairs with its 95 % interval (Student's t)."""
    from scipy.stats import t

    mean = statistics.fmean(means)
    if len(means) < 2:
        return mean, -math.inf, math.inf
    half = float(t.ppf(0.975, len(means) - 1)) * statistics.stdev(means) / math.sqrt(len(means))
    return mean, mean - half, mean + half


def again(pairs: Sequence[Sequence[Row]]) -> tuple[float, float]:
    """Return the 95 % interval of the median ratio over the pairs, with the seeds of each pair drawn again."""
    chance = random.Random(0)  # noqa: S311 - no secret
    medians = sorted(
        statistics.median(ratio(chance.choices(rows, k=len(rows))) for rows in pairs) for _ in range(DRAWN)
    )
    return medians[int(0.025 * DRAWN)], medians[int(0.975 * DRAWN)]


def judged(rows: Sequence[Row]) -> list[str]:
    """Print the trials of each pair, the medians and the intervals, and return the bars that were missed."""
    pairs = {name: [row for row in rows if row.pair == name] for name in dict.fromkeys(row.pair for row in rows)}
    print(f"\n{'pair':<20}{'seeds':>6}{'cold':>6}{'warm':>6}{'ratio':>7}{'at half':>9}{'at end':>9}{'unrelated':>11}")
    for name, own in pairs.items():
        cold, warm = needed(own)
        ends = [curve(row.warm, row.cold) for row in own]
        half, whole = (statistics.fmean(one[place] for one in ends) - 1 for place in (len(ends[0]) // 2 - 1, -1))
        strange = [row for row in own if row.misled is not None]
        misled = str(needed(strange, "misled")[1]) if strange else ""
        print(f"{name:<20}{len(own):>6}{cold:>6}{warm:>6}{warm / cold:>7.2f}{half:>+9.4f}{whole:>+9.4f}{misled:>11}")
    ratios = [ratio(own) for own in pairs.values()]
    median, (low, high) = statistics.median(ratios), again(list(pairs.values()))
    print(f"\ntrials, warm by cold, by mean curves: median {median:.2f} [{low:.2f}, {high:.2f}] of {len(ratios)} pairs")
    never = sum(reached(row.warm.scores, row.cold.best) > len(row.warm.scores) for row in rows)
    print(f"search by search: median {statistics.median(row.ratio for row in rows):.2f} of {len(rows)}", end="; ")
    print(f"never reached {never} times")
    missed = [] if median <= BAR else [f"the median is above {BAR}"]
    lost = {name: own for name, every in pairs.items() if (own := [row for row in every if row.misled is not None])}
    for what, kind, groups in (("warm", "warm", pairs), ("unrelated", "misled", lost)):
        if not groups:
            continue
        mean, low, high = interval([better(own, kind) for own in groups.values()])
        print(f"unseen rows, {what} less cold, in parts of the gain: {mean:+.4f} [{low:+.4f}, {high:+.4f}]")
        if high < 0 or mean < -MARGIN:
            missed.append(f"{what} is worse than cold")
    if lost:
        median = statistics.median(ratio(own, "misled") for own in lost.values())
        print(f"trials, misled by cold, by mean curves: median {median:.2f}")
    print(f"the right table was found {sum(row.found for row in rows)} times of {len(rows)}", flush=True)
    return missed


def main() -> None:
    """Measure, print, and end with an error when a bar is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="The first seed.")
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--unrelated", type=int, default=1, help="Seeds with which unrelated tables are tried as well.")
    parser.add_argument("--pairs", nargs="*", default=list(PAIRS), choices=list(PAIRS))
    parser.add_argument("--rows", type=Path, help="A file with what was measured before; what is measured is added.")
    given = parser.parse_args()
    estimators._forest = lambda _: {"n_estimators": TREES}  # noqa: SLF001
    rows = read(given.rows) if given.rows is not None and given.rows.exists() else []
    print(f"{'pair':<20}{'seed':>5}{'cold':>7}{'warm':>7} {'ratio':>6} {'test':>8} {'unrelated':>9}  started from")
    for row in rows:
        print(line(row))
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(given.first, given.first + given.seeds):
            mislead = seed < given.first + given.unrelated
            for row in measured(Path(folder) / str(seed), seed, given.trials, given.pairs, mislead=mislead):
                print(line(row), flush=True)
                rows.append(row)
                if given.rows is not None:
                    with given.rows.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(asdict(row)) + "\n")
    missed = judged(rows)
    if missed:
        sys.exit(f"missed: {'; '.join(missed)}")


if __name__ == "__main__":
    main()
