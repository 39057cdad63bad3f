"""Which version is in use: promoted, given an alias, rolled back; and what nobody asked for stays as it is."""

from __future__ import annotations

from collections.abc import Iterable

from ..hands import Hands
from ..task import Project, Task
from .checks import fact

REGISTRY = "production_registry"


def promoted(project: Project) -> Iterable[str]:
    yield from _champions(project, churn=2, returns=2, price=1)
    last = project.versions.history("churn", "champion")[-1]
    if last.action != "promote" or "test" not in last.why.lower():
        yield f"The history says {last.action}, because {last.why!r}."


async def promote(hands: Hands) -> None:
    await hands.invoke(REGISTRY, "promote", name="churn", version=2, why="a test of the way back")


async def promote_another(hands: Hands) -> None:
    await hands.invoke(REGISTRY, "rollback", name="returns", why="a test of the way back")


def left(project: Project) -> Iterable[str]:
    yield from _champions(project, churn=1, returns=2, price=1)
    yield from fact(project, "decision.txt", "no")
    if not any(one.spec.get("against") for one in project.runs("evaluate")):
        yield "No evaluation has compared the two."


async def compare_and_leave(hands: Hands) -> None:
    run = await hands.call(
        "run_ml_evaluation_workflow", model="churn@2", data="customers_march.csv", against="churn@1", wait_seconds=50
    )
    assert run["comparison"]["difference"]["value"] < 0
    await hands.write("decision.txt", "no")


async def promote_anyway(hands: Hands) -> None:
    await hands.invoke(REGISTRY, "promote", name="churn", version=2, why="newer")
    await hands.write("decision.txt", "yes")


def back(project: Project) -> Iterable[str]:
    yield from _champions(project, churn=1, returns=1, price=1)
    last = project.versions.history("returns", "champion")[-1]
    if last.action != "rollback" or not last.why:
        yield f"The history of returns says {last.action}, because {last.why!r}."


async def roll_back(hands: Hands) -> None:
    await hands.invoke(REGISTRY, "rollback", name="returns", why="errs on new orders")


async def promote_instead(hands: Hands) -> None:
    await hands.invoke(REGISTRY, "promote", name="returns", version=1)


def in_production(project: Project) -> Iterable[str]:
    yield from _champions(project, churn=1, returns=2, price=1)
    if (version := project.champion("price", "production")) != 1:
        yield f"The version {version} of price is in production."


async def give_alias(hands: Hands) -> None:
    await hands.invoke(REGISTRY, "alias", name="price", alias="production", version=1, why="goes live")


async def give_another_alias(hands: Hands) -> None:
    await hands.invoke(REGISTRY, "alias", name="price", alias="live", version=1)


def _champions(project: Project, **expected: int) -> Iterable[str]:
    for name, version in expected.items():
        if (found := project.champion(name)) != version:
            yield f"The champion of {name} is version {found}, not {version}."


TASKS = [
    Task(
        id="promote-version",
        about="promote",
        start="models",
        words="Make version 2 of the model churn its champion, although it is the worse one: we test the way back "
        "tomorrow. Give that test as the reason.",
        check=promoted,
        solve=promote,
        wrong=promote_another,
        asks=(("'champion'", "'churn'", "to version 2"),),
    ),
    Task(
        id="promote-only-if-better",
        about="promote",
        start="models",
        words="Make version 2 of the model churn its champion if, and only if, an evaluation against the present "
        "champion on customers_march.csv says that it is better. Write yes or no into decision.txt: whether you did.",
        check=left,
        solve=compare_and_leave,
        wrong=promote_anyway,
        asks=(("'champion'", "'churn'", "to version 2"),),
    ),
    Task(
        id="roll-back",
        about="roll back",
        start="models",
        words="The champion of the model returns errs on new orders. Roll it back to the version that was the champion "
        "before, and give the reason.",
        check=back,
        solve=roll_back,
        wrong=promote_instead,
        asks=(("rollback", "'champion'", "'returns'"),),
    ),
    Task(
        id="alias-production",
        about="promote",
        start="models",
        words="Version 1 of the model price goes live: give it the alias production, and change nothing else.",
        check=in_production,
        solve=give_alias,
        wrong=give_another_alias,
        asks=(("'production'", "'price'", "to version 1"),),
    ),
]
