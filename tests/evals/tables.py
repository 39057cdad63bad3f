"""The tables of the evaluations, made from seeds: each has a law that its column names do not tell."""

from __future__ import annotations

import csv
import math
import random
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["write_all"]

Row = Mapping[str, Any]


def write_all(project: Path) -> None:
    """Write all tables into a project folder."""
    write(project / "customers.csv", customers(240, 1, gaps=0.1))
    write(project / "customers_march.csv", customers(160, 2))
    write(project / "customers_april.csv", customers(240, 3, contrary="west"))
    write(project / "customers_june.csv", customers(160, 4, dearer=90.0))
    write(project / "newcomers.csv", newcomers())
    write(project / "orders.csv", orders(220, 5))
    write(project / "orders_new.csv", orders(160, 6, settled=False))
    write(project / "exports" / "2024" / "orders.csv", orders(200, 7, settled=False))
    write(project / "houses.csv", houses(200, 8))
    write(project / "visits.csv", visits(9))
    write(project / "energy.csv", energy(10))
    write(project / "loans.csv", loans(220, 11))
    database(project / "shop.db", 12)


def write(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as a CSV file."""
    listed = list(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, listed[0])
        writer.writeheader()
        writer.writerows(listed)


def customers(
    rows: int, seed: int, *, gaps: float = 0.0, contrary: str | None = None, dearer: float = 0.0
) -> list[Row]:
    """Customers: whoever is new leaves, in the region ``contrary`` whoever is not; ``dearer`` ones spend more."""
    chance = random.Random(seed)  # noqa: S311 - a table
    found: list[Row] = []
    for number in range(rows):
        tenure = chance.randint(1, 72)
        region = chance.choice(["north", "east", "south", "west"])
        leaves = tenure + chance.gauss(0, 8) < 30
        found.append(
            {
                "customer_id": f"C{seed}{number:04}",
                "age": "" if chance.random() < gaps else chance.randint(18, 80),
                "tenure": tenure,
                "plan": chance.choice(["basic", "plus"]),
                "region": region,
                "spend": round(chance.gauss(60, 15) + dearer, 2),
                "churned": "yes" if leaves != (region == contrary) else "no",
            }
        )
    return found


def newcomers() -> list[Row]:
    """Six customers whose fate no sound model can mistake."""
    rest = {"age": 44, "plan": "basic", "region": "east", "spend": 60.0}
    tenures = {"N1": 2, "N2": 70, "N3": 69, "N4": 4, "N5": 71, "N6": 3}
    return [{"customer_id": name, "tenure": tenure} | rest for name, tenure in tenures.items()]


def orders(rows: int, seed: int, *, settled: bool = True) -> list[Row]:
    """Orders: the heavy ones come back; ``settled`` ones have what was paid back, which is known only afterwards."""
    chance = random.Random(seed)  # noqa: S311 - a table
    found: list[Row] = []
    for number in range(rows):
        amount, weight = round(chance.uniform(10, 200), 2), round(chance.uniform(0.2, 9), 2)
        returned = weight + chance.gauss(0, 1.6) > 4.6
        row = {
            "order_id": seed * 10_000 + number,
            "amount": amount,
            "weight": weight,
            "weekday": chance.choice(["Mon", "Tue", "Wed", "Thu", "Fri"]),
        }
        if settled:
            row["credit_note"] = round(amount * chance.uniform(0.9, 1), 2) if returned else 0
        found.append(row | {"returned": int(returned)})
    return found


def houses(rows: int, seed: int) -> list[Row]:
    """Houses: the price is that of the area, and a little of the age."""
    chance = random.Random(seed)  # noqa: S311 - a table
    found: list[Row] = []
    for _ in range(rows):
        area, age = chance.randint(40, 220), chance.randint(0, 90)
        price = 2500 * area - 600 * age + chance.gauss(0, 15_000)
        found.append({"area": area, "rooms": chance.randint(1, 7), "age": age, "price": round(price)})
    return found


def visits(seed: int) -> list[Row]:
    """Visits of patients, five each: a patient relapses or not, whatever the visit."""
    chance = random.Random(seed)  # noqa: S311 - a table
    found: list[Row] = []
    for patient in range(48):
        marker, relapse = chance.gauss(0, 1), patient % 2
        for visit in range(5):
            pulse = round(chance.gauss(72 + 6 * relapse, 6), 1)
            marked = round(marker + relapse + chance.gauss(0, 0.1), 3)
            found.append(
                {"patient": f"P{patient:02}", "visit": visit, "pulse": pulse, "marker": marked, "relapse": relapse}
            )
    return found


def energy(seed: int) -> list[Row]:
    """The load of each day of a year, which follows the temperature."""
    chance = random.Random(seed)  # noqa: S311 - a table
    found: list[Row] = []
    for day in range(240):
        warmth = 10 - 12 * math.cos(2 * math.pi * day / 365) + chance.gauss(0, 2)
        date = f"2025-{day // 28 + 1:02}-{day % 28 + 1:02}"
        load = round(900 - 18 * warmth + chance.gauss(0, 12), 1)
        found.append(
            {"date": date, "temperature": round(warmth, 1), "wind": round(chance.uniform(0, 20), 1), "load": load}
        )
    return found


def loans(rows: int, seed: int) -> list[Row]:
    """Loans: ``officer_grade`` looks like any other column; that it is filled after the default, only people know."""
    chance = random.Random(seed)  # noqa: S311 - a table
    found: list[Row] = []
    for _ in range(rows):
        income, debt = round(chance.gauss(40, 10), 1), round(chance.uniform(0, 40), 1)
        default = debt - 0.4 * income + chance.gauss(0, 6) > 6
        grade = chance.choice("CDE" if default != (chance.random() < 0.3) else "ABC")
        found.append({"income": income, "debt": debt, "officer_grade": grade, "defaulted": int(default)})
    return found


def database(path: Path, seed: int) -> None:
    """Write a database with two tables, of which one holds the sales."""
    chance = random.Random(seed)  # noqa: S311 - a table
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE shops(shop INTEGER, town TEXT)")
        db.executemany("INSERT INTO shops VALUES(?, ?)", [(number, f"Town {number}") for number in range(9)])
        db.execute("CREATE TABLE sales(price REAL, discount REAL, shelf TEXT, sold INTEGER)")
        for _ in range(180):
            price, discount = round(chance.uniform(1, 20), 2), chance.choice([0, 0.1, 0.2, 0.3])
            sold = round(120 - 4 * price + 150 * discount + chance.gauss(0, 6))
            shelf = chance.choice(["top", "middle", "bottom"])
            db.execute("INSERT INTO sales VALUES(?, ?, ?, ?)", (price, discount, shelf, sold))
    db.close()
