"""Samples of made-up tables as businesses have them; ``drift`` moves the parameters of the law."""

from __future__ import annotations

import numpy as np
import pandas as pd

__all__ = ["TARGET", "churn", "claims", "demand", "grades", "sensors"]

TARGET = "target"


def churn(chance: np.random.Generator, rows: int, drift: float) -> pd.DataFrame:
    """Draw customers, of whom about one in eight leaves: regions of 30 levels, skewed numbers, an interaction."""
    pull = np.random.default_rng(30).normal(size=30) + drift * np.sin(np.arange(30))
    region, plan = chance.integers(30, size=rows), chance.choice(["basic", "plus", "pro"], rows)
    months, calls = chance.gamma(2, 12, rows), chance.poisson(2, rows)
    fee = chance.lognormal(3, 0.5, rows)
    odds = 0.7 * pull[region] + 0.6 * calls * (months < 12) - 0.03 * months + 0.5 * np.log(fee) * (plan == "basic") - 3
    table = pd.DataFrame({"region": [f"R{one:02d}" for one in region], "plan": plan, "months": months, "calls": calls})
    table["fee"] = fee
    for name in ("visits", "age", "latency"):
        table[name] = chance.normal(size=rows)
    return table.assign(**{TARGET: np.where(odds + chance.logistic(size=rows) > 0, "left", "stayed")})


def claims(chance: np.random.Generator, rows: int, drift: float) -> pd.DataFrame:
    """Draw insurance claims: what multiplies, a long tail, categories."""
    kind, age = chance.choice(["car", "van", "bike"], rows, p=[0.6, 0.25, 0.15]), chance.uniform(18, 80, rows)
    power, years = chance.gamma(4, 25, rows), chance.integers(0, 20, rows)
    factor = np.select([kind == "car", kind == "van"], [0.0, 0.4], -0.5 - drift)
    mean = 6 + factor + 0.9 * (age < 25) + 0.004 * power * (kind != "bike") - (0.04 + drift / 20) * years
    table = pd.DataFrame({"kind": kind, "age": age, "power": power, "years": years})
    for name in ("mileage", "seats", "value"):
        table[name] = chance.gamma(2, 1, rows)
    return table.assign(**{TARGET: np.exp(mean + 0.4 * chance.normal(size=rows))})


def sensors(chance: np.random.Generator, rows: int, drift: float) -> pd.DataFrame:
    """Draw forty readings that go together in groups of five; two of the groups, and their product, tell of a fault."""
    hidden = chance.normal(size=(rows, 8))
    readings = np.repeat(hidden, 5, axis=1) + (0.7 + drift) * chance.normal(size=(rows, 40))
    odds = 2 * hidden[:, 0] * hidden[:, 1] + 1.5 * hidden[:, 0] + drift * hidden[:, 2] - 1
    table = pd.DataFrame(readings, columns=[f"{place}_{axis}" for place in "abcdefgh" for axis in "vwxyz"])
    return table.assign(**{TARGET: np.where(odds + 0.7 * chance.logistic(size=rows) > 0, "fault", "fine")})


def demand(chance: np.random.Generator, rows: int, drift: float) -> pd.DataFrame:
    """Draw hours of hire: the hour of the day, the season, the weather, a price that matters at leisure only."""
    hour, day = chance.integers(24, size=rows), chance.integers(365, size=rows)
    weekday, price = chance.choice(["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"], rows), chance.uniform(1, 4, rows)
    warmth = 12 - 10 * np.cos(2 * np.pi * day / 365) + 3 * chance.normal(size=rows)
    leisure = np.isin(weekday, ["Sa", "Su"])
    rush = np.exp(-((hour - 8) ** 2) / 4) + np.exp(-((hour - 17 - drift) ** 2) / 6)
    mean = np.where(leisure, 60 * np.exp(-((hour - 14) ** 2) / 30) * (2 - (0.4 + drift / 4) * price), 90 * rush)
    hires = chance.poisson(np.maximum(1.0, mean * (0.3 + np.clip(warmth, 0, 25) / 25)))
    table = pd.DataFrame({"hour": hour, "day": day, "weekday": weekday, "price": price, "warmth": warmth})
    return table.assign(wind=chance.gamma(2, 2, rows), **{TARGET: hires.astype(float)})


def grades(chance: np.random.Generator, rows: int, drift: float) -> pd.DataFrame:
    """Draw pieces of four grades, of unequal shares, that differ in place and in spread."""
    grade = chance.choice(4, rows, p=[0.4, 0.3, 0.2, 0.1])
    law = np.random.default_rng(4)
    centre, spread = 1.2 * law.normal(size=(4, 10)), np.exp(0.5 * law.normal(size=(4, 10)))
    x = centre[grade] * (1 - drift / 2) + spread[grade] * chance.normal(size=(rows, 10)) * 1.6
    table = pd.DataFrame(x, columns=[f"size_{one}" for one in "abcdefghij"])
    return table.assign(**{TARGET: np.array(list("ABCD"))[grade]})
