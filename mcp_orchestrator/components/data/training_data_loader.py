"""Loads any table under a digest that never changes, profiles, checks and splits it, and finds leaks between parts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from mcp_orchestrator.component import About, Check, Context, capability
from mcp_orchestrator.methods import tables
from mcp_orchestrator.methods.tables import Leaks, Splits, Verdict
from mcp_orchestrator.values import Data, Dataset, Profile

ABOUT = About(tier=1, libraries=("pandas", "pyarrow", "sklearn"))

TargetName = Annotated[str, Field(min_length=1, max_length=500, description="The column to be predicted.")]
Task = Annotated[
    Literal["auto", "classification", "regression"],
    Field(description="What kind of problem it is; auto judges by the target."),
]

FLOWERS = [{"petal": 1.0 + 0.1 * place, "kind": "rose" if place % 3 else "lily"} for place in range(12)]


@capability(example={"source": "builtin:iris", "target": "target"}, contrast={"source": "builtin:wine"}, at_home=True)
def load(  # noqa: PLR0917 - called by name
    ctx: Context,
    source: Data,
    target: Annotated[str | None, Field(description="The column to be predicted, if it is known.")] = None,
    name: Annotated[
        str | None, Field(max_length=80, description="A name for the dataset; that of the source if none.")
    ] = None,
    query: Annotated[
        str | None, Field(max_length=100_000, description="A SELECT, where the source is a database.")
    ] = None,
    table: Annotated[
        str | None, Field(max_length=500, description="A table of a database, or a sheet of a workbook.")
    ] = None,
) -> Dataset:
    """Freeze a table as dataset://name@digest and profile it.

    Delimited text, JSON, Parquet, Feather, Excel, SQLite, database URLs, inline rows and builtin tables; what is
    broken is refused by column and row.
    """
    return tables.freeze(ctx, source, name=name, target=target, query=query, table=table)


@capability(example={"data": "builtin:wine", "target": "target"}, contrast={"data": "builtin:diabetes"}, at_home=True)
def profile(
    ctx: Context,
    data: Data,
    target: Annotated[str | None, Field(description="The column to be predicted; a likely one if none.")] = None,
) -> Profile:
    """Say what the columns are, what is missing or repeated, and which give the target away."""
    return tables.freeze(ctx, data, target=target).profile


@capability(example={"data": "builtin:iris", "target": "target"}, contrast={"test": 0.5})
def split(  # noqa: PLR0917 - called by name
    ctx: Context,
    data: Data,
    target: Annotated[
        str | None, Field(description="The column to be predicted; rows without it are left out.")
    ] = None,
    test: Annotated[float, Field(gt=0, lt=1, description="The share of the rows that becomes the test part.")] = 0.2,
    stratify: Annotated[bool, Field(description="Keep the shares of the classes, if the target has classes.")] = True,  # noqa: FBT002
    group: Annotated[str | None, Field(description="A column whose equal values stay in one part.")] = None,
    time: Annotated[str | None, Field(description="A column of times: the latest rows become the test part.")] = None,
    seed: Annotated[int, Field(ge=0, lt=2**32, description="The seed of what is random.")] = 0,
) -> Splits:
    """Divide a table into a training and a test part, both frozen."""
    return tables.split(ctx, data, target=target, test=test, stratify=stratify, group=group, time=time, seed=seed)


@capability(
    example={"train": FLOWERS[:8], "test": [*FLOWERS[8:], FLOWERS[0]], "target": "kind"},
    contrast={"test": FLOWERS[8:]},
)
def leakage(  # noqa: PLR0917 - called by name
    ctx: Context,
    train: Data,
    test: Data,
    target: TargetName,
    group: Annotated[str | None, Field(description="A column whose values may not be in both parts.")] = None,
    time: Annotated[str | None, Field(description="A column of times: the test part must be later.")] = None,
) -> Leaks:
    """Find what a test part shares with the part that was learned from."""
    return tables.leakage(ctx, train, test, target, group=group, time=time)


@capability(example={"data": "builtin:iris", "target": "target"}, contrast={"data": "builtin:breast_cancer"})
def check(ctx: Context, data: Data, target: TargetName, task: Task = "auto") -> Verdict:
    """Refuse a table that cannot be learned from, naming the column and the fix, or say what was noticed."""
    return tables.check(ctx, data, target, task)


def known_answer(ctx: Context) -> Iterator[Check]:
    """Fisher's iris, and the class counts of wine and breast cancer as their sources state them; leaks planted by hand.

    Iris has one pair of equal rows (102 and 143). A training part with the one and a test part with the other and with
    five copied training rows must show six.
    """
    iris = tables.freeze(ctx, "builtin:iris", target="target")
    yield Check("iris rows", iris.rows, 150)
    yield Check("iris columns", iris.columns, 5)
    yield Check("iris duplicate rows", iris.profile.duplicate_rows, 1)
    parts = tables.split(ctx, iris.uri, target="target")
    yield Check("iris test part", sorted(parts.classes["test"].values()), [10, 10, 10])
    wine = tables.freeze(ctx, "builtin:wine", target="target").profile.classes
    yield Check("wine classes", wine, {"class_0": 59, "class_1": 71, "class_2": 48})
    cancer = tables.freeze(ctx, "builtin:breast_cancer", target="target").profile.classes
    yield Check("breast cancer classes", cancer, {"benign": 357, "malignant": 212})
    rows = tables.frame(ctx, iris.uri)
    train = rows.drop(index=142).to_dict("records")
    twin = rows.loc[[142]].to_dict("records")
    for name, test, expected in (("inherent", twin, 1), ("planted and inherent", [*twin, *train[::30]], 6)):
        leaks = tables.leakage(ctx, train, test, "target").leaks
        yield Check(f"{name} leaks", sum(one.count for one in leaks if one.kind == "duplicate_rows"), expected)
