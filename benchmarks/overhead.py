"""What the whole workflow costs beyond the fits: journal, snapshots, tests, plots, card, tracking, registration.

Each round trains once through the orchestrator and then runs the hand-written script of `bare.py`, which fits the same
candidates on as many folds, and the same winner, in a warm process of the same kind. Wanted: at most 5 % + 500 ms more
than the script.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median

import anyio

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.settings import Settings

TARGET = "target"
SHARE, FIXED = 0.05, 0.5


async def rounds(
    folder: Path, count: int, trials: int, families: list[str], ensemble: str
) -> list[tuple[float, float, dict[str, float]]]:
    """Return the seconds of workflow and script, and of the workflow's steps, for each round."""
    settings = Settings.load(folder, components={"bare": "bare"})
    table = folder / "table.csv"
    found: list[tuple[float, float, dict[str, float]]] = []
    orchestrator = Orchestrator(settings=settings)
    async with orchestrator.running():
        await orchestrator.initialize()
        rows = await orchestrator.call("training_data_loader", "load", {"source": "builtin:breast_cancer"})
        import pandas as pd

        pd.read_parquet(orchestrator.artifacts.path(rows["sha256"])).to_csv(table, index=False)
        for number in range(count + 1):
            spec = {
                "data": table.name,
                "target": TARGET,
                "name": "overhead",
                "families": families,
                "ensemble": ensemble,
            }
            tuning = {"trials": trials, "pruning": False, "seconds": 600}
            began = anyio.current_time()
            run = await orchestrator.train({**spec, "tuning": tuning, "gates": {"champion": False}}, wait=None)
            ours = anyio.current_time() - began
            facts = run.model_dump(mode="json")
            tried = [{**one, "folds": len(one["fold_scores"])} for one in facts["leaderboard"]]
            asked = {"path": str(table), "target": TARGET, "candidates": tried, "members": facts["model"]["members"]}
            script = await orchestrator.call(
                "bare", "script", {**asked, "cpus": settings.workers}, cpus=settings.workers
            )
            if number:  # the first round loads and migrates
                found.append((ours, script, {one.name: one.seconds or 0.0 for one in run.steps}))
    return found


def main() -> None:
    """Print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--families", nargs="*", default=["linear", "extra_trees"])
    parser.add_argument("--ensemble", choices=["auto", "none", "greedy"], default="auto")
    asked = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent))
    with tempfile.TemporaryDirectory() as folder:
        found = anyio.run(rounds, Path(folder), asked.rounds, asked.trials, asked.families, asked.ensemble)
    ours, script = (median(one[place] for one in found) for place in (0, 1))
    added = median(one[0] - one[1] for one in found)
    allowed = median(SHARE * one[1] + FIXED for one in found)
    print(f"workflow {ours:.3f} s, script {script:.3f} s, ratio {median(a / b for a, b, _ in found):.3f}")
    print(f"added {added * 1000:.0f} ms; wanted at most {allowed * 1000:.0f} ms (5 % + 500 ms)")
    for name in found[0][2]:
        print(f"  {name:10} {median(one[2].get(name, 0.0) for one in found) * 1000:8.1f} ms")


if __name__ == "__main__":
    main()
