"""Trainings, and what stands in their way: a leak, a wrong name of a column or a file, a database."""

from __future__ import annotations

from collections.abc import Iterable

from ..hands import Hands
from ..task import GOOD, Project, Task
from .checks import fact, trained

SHORT = "Keep the search short: at most 4 trials and 20 seconds."


def churn(project: Project) -> Iterable[str]:
    yield from trained(project, "churn", "churned", better_than=0.8)


async def train_churn(hands: Hands) -> None:
    await hands.call("inspect_dataset", data="customers.csv", target="churned")
    await hands.train("customers.csv", "churned", "churn")


async def train_a_copy(hands: Hands) -> None:
    await hands.train("customers.csv", "plan", "churn")


def price(project: Project) -> Iterable[str]:
    yield from trained(project, "price", "price")
    for version in project.models("price"):
        run = project.training(version)
        if run and (run.result or {}).get("metric") != "mae":
            yield f"price {version.version} was optimised for {(run.result or {}).get('metric')}, not for mae."


async def train_price(hands: Hands) -> None:
    run = await hands.call(
        "run_ml_training_workflow",
        data="houses.csv",
        target="price",
        metric="mae",
        name="price",
        trials=2,
        wait_seconds=50,
        spec={"families": ["linear"], "ensemble": "none", "tracking": False},
    )
    await hands.ended(run)


async def train_price_by_default(hands: Hands) -> None:
    await hands.train("houses.csv", "price", "price")


def together(project: Project) -> Iterable[str]:
    yield from _validated(project, "relapse", "group", "patient")


async def train_together(hands: Hands) -> None:
    await hands.train("visits.csv", "relapse", "relapse", validation={"group": "patient"})


async def train_apart(hands: Hands) -> None:
    await hands.train("visits.csv", "relapse", "relapse")


def in_time(project: Project) -> Iterable[str]:
    yield from _validated(project, "load", "time", "date")


async def train_in_time(hands: Hands) -> None:
    await hands.train("energy.csv", "load", "load", validation={"time": "date"})


async def train_at_random(hands: Hands) -> None:
    await hands.train("energy.csv", "load", "load")


def _validated(project: Project, name: str, how: str, column: str) -> Iterable[str]:
    yield from trained(project, name, name)
    for version in project.models(name):
        run = project.training(version)
        given = run.spec["validation"].get(how) if run and isinstance(run.spec.get("validation"), dict) else None
        if given != column:
            yield f"{name} {version.version} was validated with {how} {given!r}, not with {column!r}."


def without_leak(project: Project) -> Iterable[str]:
    yield from trained(project, "returns", "returned")
    yield from fact(project, "leak.txt", "credit_note")
    for version in project.models("returns"):
        if "credit_note" in project.columns(version):
            yield f"returns {version.version} was trained with credit_note."


async def find_leak(hands: Hands) -> None:
    seen = await hands.call("inspect_dataset", data="orders.csv", target="returned")
    [leak] = seen["profile"]["leakage_suspects"]
    await hands.train("orders.csv", "returned", "returns", features=[{"name": leak, "kind": "drop"}])
    await hands.write("leak.txt", leak)


async def overlook_leak(hands: Hands) -> None:
    await hands.train("orders.csv", "returned", "returns")
    await hands.write("leak.txt", "credit_note")


async def mistake_column(hands: Hands) -> None:
    said = await hands.refused("run_ml_training_workflow", data="customers.csv", target="churn_flag", name="churn")
    assert "churned" in said
    await hands.train("customers.csv", "churned", "churn")


def moved_file(project: Project) -> Iterable[str]:
    yield from trained(project, "returns", "returned")
    for version in project.models("returns"):
        run = project.training(version)
        if run and (run.result or {}).get("data", {}).get("rows") != 200:
            yield f"returns {version.version} was trained on another table than the export of 2024."


async def find_file(hands: Hands) -> None:
    await hands.refused("inspect_dataset", data="exports/orders-2024.csv")
    files = (await hands.call("list_files"))["files"]
    [path] = [one for one in files if one.startswith("exports/")]
    await hands.train(path, "returned", "returns")


async def take_another_file(hands: Hands) -> None:
    await hands.train("orders_new.csv", "returned", "returns")


def sold(project: Project) -> Iterable[str]:
    yield from trained(project, "sold", "sold")


async def train_from_database(hands: Hands) -> None:
    await hands.train("sqlite:///shop.db", "sold", "sold", table="sales")


async def train_something_else(hands: Hands) -> None:
    await hands.train("houses.csv", "rooms", "sold")


def two_metrics(project: Project) -> Iterable[str]:
    for name, family in (("churn-linear", "linear"), ("churn-neighbors", "neighbors")):
        yield from trained(project, name, "churned")
        for version in project.models(name):
            run = project.training(version)
            members = (run.result or {}).get("model", {}).get("members", []) if run else []
            if {one["family"] for one in members} != {family}:
                yield f"{name} {version.version} is made of {members}."
    runs = [one for one in project.runs("train") if one.status in GOOD]
    if len({one.spec.get("seed", 0) for one in runs}) > 1:
        yield "The trainings had different seeds, and so different test parts."
    better = max(runs, key=lambda one: (one.result or {})["metrics"]["f1"]["value"], default=None)
    if better is not None:
        yield from fact(project, "better.txt", (better.result or {})["model"]["name"])


async def train_two(hands: Hands) -> None:
    scores: dict[str, float] = {}
    for family in ("linear", "neighbors"):
        run = await hands.train("customers.csv", "churned", f"churn-{family}", families=[family])
        scores[f"churn-{family}"] = run["metrics"]["f1"]["value"]
    await hands.write("better.txt", max(scores, key=lambda name: scores[name]))


async def train_one_twice(hands: Hands) -> None:
    for family in ("linear", "neighbors"):
        await hands.train("customers.csv", "churned", f"churn-{family}")
    await hands.write("better.txt", "churn-linear")


TASKS = [
    Task(
        id="train-classifier",
        about="train",
        words="Train a model that predicts from customers.csv whether a customer leaves (the column churned). "
        f"Register it under the name churn. {SHORT}",
        check=churn,
        solve=train_churn,
        wrong=train_a_copy,
    ),
    Task(
        id="train-regressor",
        about="train",
        words="Train a model for the price of a house on houses.csv and register it as price. What counts for us is "
        f"the mean absolute error: optimise for that. {SHORT}",
        check=price,
        solve=train_price,
        wrong=train_price_by_default,
    ),
    Task(
        id="train-groups",
        about="train",
        words="visits.csv has five visits of each patient. Train a model for relapse that will be used on patients "
        "whom we have never seen, and register it as relapse. No visit of a patient may help to predict another visit "
        f"of the same patient when the model is tested or validated. {SHORT}",
        check=together,
        solve=train_together,
        wrong=train_apart,
    ),
    Task(
        id="train-time",
        about="train",
        words="Train a model for the load in energy.csv and register it as load. It will predict days that are still "
        f"to come, so test it on the latest days by the column date, not on days chosen at random. {SHORT}",
        check=in_time,
        solve=train_in_time,
        wrong=train_at_random,
    ),
    Task(
        id="train-two-families",
        about="compare",
        words="Train two models for churned on customers.csv, each without a search: one of the family linear alone, "
        "registered as churn-linear, and one of the family neighbors alone, registered as churn-neighbors. Do not let "
        "them be blended with others. Write the name of the one with the higher f1 on its test part into better.txt, "
        "and nothing else.",
        check=two_metrics,
        solve=train_two,
        wrong=train_one_twice,
    ),
    Task(
        id="train-without-leak",
        about="recover",
        words="Train a model for returned on orders.csv and register it as returns. It must predict at the moment of "
        "the order. One column is only known after the parcel came back and gives the answer away: find out which, "
        f"leave it out, and write its name into leak.txt, nothing else. {SHORT}",
        check=without_leak,
        solve=find_leak,
        wrong=overlook_leak,
    ),
    Task(
        id="recover-column",
        about="recover",
        words="Train a model on customers.csv that predicts who leaves and register it as churn. I think that the "
        f"column is called churn_flag; if there is none, take the one that means the same. {SHORT}",
        check=churn,
        solve=mistake_column,
        wrong=train_a_copy,
    ),
    Task(
        id="recover-file",
        about="recover",
        words="Train a model for returned on the export of the orders of 2024, which should be "
        "exports/orders-2024.csv; if it is not there, look for it below exports and take no other table. Register it "
        f"as returns. {SHORT}",
        check=moved_file,
        solve=find_file,
        wrong=take_another_file,
    ),
    Task(
        id="train-database",
        about="train",
        words="shop.db is an SQLite database. Train a model for the column sold of its table sales and register it as "
        f"sold. {SHORT}",
        check=sold,
        solve=train_from_database,
        wrong=train_something_else,
    ),
]
