"""Models used: predictions, and whether a stored model is still what was stored."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from ..hands import Hands
from ..task import Project, Task
from .checks import fact

FATES = {"N1": "yes", "N2": "no", "N3": "no", "N4": "yes", "N5": "no", "N6": "yes"}


def predicted(project: Project) -> Iterable[str]:
    rows = project.rows("predictions.csv")
    found = {one.get("customer_id", ""): one.get("churned", "") for one in rows}
    if not rows:
        yield "There is no predictions.csv with rows."
    elif found != FATES:
        yield f"predictions.csv says {found}."


async def predict(hands: Hands) -> None:
    await _predict(hands, "churn@1")


async def predict_with_another(hands: Hands) -> None:
    await _predict(hands, "churn@2")


async def _predict(hands: Hands, model: str) -> None:
    text = (await hands.call("read_file", path="newcomers.csv"))["text"]
    rows = list(csv.DictReader(io.StringIO(text)))
    numbers = {"age", "tenure", "spend"}
    records = [{key: float(value) if key in numbers else value for key, value in row.items()} for row in rows]
    said = await hands.call("predict", model=model, records=records)
    lines = [f"{row['customer_id']},{one}" for row, one in zip(rows, said["predictions"], strict=True)]
    await hands.write("predictions.csv", "\n".join(["customer_id,churned", *lines]) + "\n")


def ranked(project: Project) -> Iterable[str]:
    text = project.text("offer.txt")
    if text is None:
        yield "There is no offer.txt."
    elif sorted(text.split()) != ["N1", "N4", "N6"]:
        yield f"offer.txt says {text[:80]!r}."


async def rank(hands: Hands) -> None:
    text = (await hands.call("read_file", path="newcomers.csv"))["text"]
    rows = list(csv.DictReader(io.StringIO(text)))
    numbers = {"age", "tenure", "spend"}
    records = [{key: float(value) if key in numbers else value for key, value in row.items()} for row in rows]
    said = await hands.call("predict", model="churn", records=records)
    likely = sorted(zip(said["probabilities"], rows, strict=True), key=lambda pair: -pair[0]["yes"])
    await hands.write("offer.txt", "\n".join(row["customer_id"] for _, row in likely[:3]))


async def take_the_first(hands: Hands) -> None:
    await hands.write("offer.txt", "N1\nN2\nN3")


def priced(project: Project) -> Iterable[str]:
    text = project.text("price.txt")
    if text is None:
        yield "There is no price.txt."
        return
    try:
        price = float(text.replace(",", "").replace("_", ""))
    except ValueError:
        yield f"price.txt says {text[:80]!r}, which is no number."
        return
    if not 230_000 < price < 260_000:  # 2,500 for each of 100 square metres, less 600 for each of 10 years
        yield f"price.txt says {price}."


async def ask_price(hands: Hands) -> None:
    said = await hands.call("predict", model="price", records=[{"area": 100, "rooms": 4, "age": 10}])
    await hands.write("price.txt", str(said["predictions"][0]))


async def reckon_price(hands: Hands) -> None:
    await hands.write("price.txt", "100")


def verified(project: Project) -> Iterable[str]:
    yield from fact(project, "damaged.txt", "1")


async def verify(hands: Hands) -> None:
    states = {
        number: await hands.invoke("production_registry", "verify", name="returns", alias=str(number))
        for number in (1, 2)
    }
    [damaged] = [number for number, state in states.items() if not state["intact"]]
    await hands.write("damaged.txt", str(damaged))


async def accuse_the_champion(hands: Hands) -> None:
    await hands.write("damaged.txt", "2")


TASKS = [
    Task(
        id="predict-table",
        about="predict",
        start="models",
        words="Predict with the champion of the model churn which customers of newcomers.csv leave. Write "
        "predictions.csv with the columns customer_id and churned, a row for each of them, in the words of the model "
        "(yes or no).",
        check=predicted,
        solve=predict,
        wrong=predict_with_another,
    ),
    Task(
        id="predict-ranking",
        about="predict",
        start="models",
        words="We can make an offer to three of the six customers of newcomers.csv. Which three are the most likely to "
        "leave, by the champion of the model churn? Write their customer_ids into offer.txt, one a line.",
        check=ranked,
        solve=rank,
        wrong=take_the_first,
    ),
    Task(
        id="predict-price",
        about="predict",
        start="models",
        words="What does the model price say of a house with 4 rooms on 100 square metres that is 10 years old? Write "
        "the number alone into price.txt.",
        check=priced,
        solve=ask_price,
        wrong=reckon_price,
    ),
    Task(
        id="verify-files",
        about="recover",
        start="damaged",
        words="The disk under our models was bad. Have the files of both versions of the model returns compared with "
        "their recorded digests, and write the number of the damaged version into damaged.txt, nothing else.",
        check=verified,
        solve=verify,
        wrong=accuse_the_champion,
    ),
]
