"""Hydrothermal systems, aggregated to one bus, and paths of inflows drawn from joint scenarios.

Letters: R plants, J thermal units, L stages of the record, S scenarios, T stages of a path.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float32, Int64

from stagejax.data.named import MissingDataset
from stagejax.data.order import random_words
from stagejax.data.pipeline import Batch, Data, joint_digest


class System(NamedTuple):
    """Plants, thermal units and demand. Volumes in hm3, flows in m3/s, power in units of the base, costs per stage."""

    volume_min: Any  # (R,)
    volume_max: Any  # (R,)
    volume_start: Any  # (R,)
    turbine_min: Any  # (R,)
    turbine_max: Any  # (R,)
    spill_max: Any  # (R,) a volume; out of reach
    spill_cost: Any  # (R,)
    production: Any  # (R,) power of a unit flow, at the middle volume
    head: Any  # (R,) share by which production rises from an empty reservoir to a full one; 0: convex
    hydro_cost: Any  # (R,) of a unit of power
    turbine_links: Any  # (R, R) 1 where what column u turbines flows into row r
    spill_links: Any  # (R, R)
    thermal_max: Any  # (J,)
    thermal_cost: Any  # (J,) of a unit of power
    demand: Any  # ()
    deficit_cost: Any  # () of a unit of demand that is not met
    flow_volume: Any  # () volume of a unit flow over one stage
    mean_inflow: Any  # (R,)
    depth: int  # longest chain of links


@dataclass(frozen=True)
class Cascade:
    """A small made-up system: a reservoir above a pond, dear and cheap thermal units, a wet and a dry season.

    The reservoir holds some stages of its inflow, the pond less than one. Part of what it holds comes only through the
    turbines above.

    >>> Cascade().inflows().shape
    (12, 3, 2)
    """

    stages: int = 12
    scenarios: int = 3
    head: float = 0.0  # see `System.head`
    plants: int = 2

    def system(self) -> System:
        """Its numbers."""
        upper = np.array([[0, 0], [1, 0]], np.float32)
        numbers = {
            "volume_min": [0, 0], "volume_max": [3.0, 0.6], "volume_start": [1.0, 0.2], "turbine_min": [0, 0],
            "turbine_max": [1.2, 1.5], "spill_max": [8, 8], "spill_cost": [0, 0], "production": [0.3, 0.25],
            "head": [self.head] * 2, "hydro_cost": [10, 10], "thermal_max": [0.4, 0.4, 0.4],
            "thermal_cost": [500, 1500, 3500], "demand": 1.2, "deficit_cost": 10_000, "flow_volume": 1.0,
        }  # fmt: skip
        mean = self.inflows().mean((0, 1))
        arrays = {name: np.asarray(value, np.float32) for name, value in numbers.items()}
        return System(**arrays, turbine_links=upper, spill_links=0 * upper, mean_inflow=mean, depth=1)

    def inflows(self) -> Float32[np.ndarray, "L S R"]:
        """The record: a season of twelve stages, times a factor that both plants share."""
        season = 1 + 0.7 * np.cos(2 * np.pi * np.arange(self.stages) / 12)
        factor = np.linspace(0.4, 1.6, self.scenarios)
        return (season[:, None, None] * factor[:, None] * np.array([0.7, 0.3])).astype(np.float32)

    def digest(self) -> str:
        return joint_digest(str(self))


@dataclass(frozen=True)
class Hydro:
    """A case in the format of HydroPowerModels.jl under `$STAGEJAX_DATA/hydro/NAME`, its network taken as one bus.

    A unit flow has the volume 0.0036 `stage_hours` hm3. Units of equal cost are merged, which changes no solution.
    Volumes that are denormal numbers are 0. Demand is the table's where there is one.

    Args:
      name: "bolivia" or "case3".
      plants: how many it has.
      head: share by which production rises from an empty reservoir to a full one, of all plants that hold more than
        half a stage of their turbines' flow; the files have none.

    Raises:
      MissingDataset: on first access.

    >>> Hydro("case3", 1)
    Hydro(name='case3', plants=1, head=0.0)
    """

    name: str
    plants: int
    head: float = 0.0

    def folder(self) -> Path:
        """Where its files are."""
        folder = Path(os.environ.get("STAGEJAX_DATA", ""), "hydro", self.name)
        if not (folder / "hydro.json").is_file():
            raise MissingDataset(
                f"{self} is not there: set STAGEJAX_DATA to a folder with hydro/{self.name}/hydro.json, "
                "PowerModels.json and inflows.csv, as the cases of HydroPowerModels.jl and DecisionRules.jl have them"
            )
        return folder

    def system(self) -> System:
        """Its numbers."""
        return _system(self.folder(), self)

    def inflows(self) -> Float32[np.ndarray, "L S R"]:
        """The record: at stage l, scenario s is one row of all plants' inflows."""
        table = np.loadtxt(self.folder() / "inflows.csv", delimiter=",", ndmin=2, dtype=np.float32)
        return table.reshape(len(table), self.plants, -1).swapaxes(1, 2)

    def digest(self) -> str:
        files = sorted(path for path in self.folder().iterdir() if path.is_file())
        return joint_digest(*(hashlib.sha256(path.read_bytes()).hexdigest() for path in files))


@functools.lru_cache(maxsize=16)
def _system(folder: Path, case: Hydro) -> System:
    hydro, grid = (json.loads((folder / f"{name}.json").read_text()) for name in ("hydro", "PowerModels"))
    plants, base = hydro["Hydrogenerators"], grid["baseMVA"]
    if len(plants) != case.plants:
        raise ValueError(f"{case} has {len(plants)} plants in {folder}, not {case.plants}. Set plants={len(plants)}.")
    number = {plant["index"]: i for i, plant in enumerate(plants)}

    def of(name: str) -> np.ndarray:
        values = np.array([plant[name] for plant in plants], np.float64)
        return np.where(np.abs(values) < 1e-300, 0.0, values).astype(np.float32)

    def links(name: str) -> np.ndarray:
        found = np.zeros((len(plants), len(plants)), np.float32)
        for plant in plants:
            for down in plant[name]:
                found[number[down], number[plant["index"]]] = 1
        return found

    own = {plant["index_grid"] for plant in plants}
    merged: dict[float, float] = {}
    for unit in grid["gen"].values():
        if unit["index"] not in own and unit["gen_status"]:
            price = float(unit["cost"][0])
            merged[price] = merged.get(price, 0.0) + unit["pmax"]
    fees = [grid["gen"][str(plant["index_grid"])]["cost"] for plant in plants]
    demand = folder / "demand.csv"
    met = np.loadtxt(demand, delimiter=",").sum() if demand.is_file() else sum(x["pd"] for x in grid["load"].values())
    unit = 0.0036 * hydro.get("stage_hours", 1)
    inflows = case.inflows()
    turbine, spill = links("downstream_turn"), links("downstream_spill")
    storage = of("max_volume") > 0.5 * unit * of("max_turn")
    most = of("max_volume").sum() + unit * (inflows.max((0, 1)).sum() + of("max_turn").sum())
    numbers = {
        "volume_min": of("min_volume"), "volume_max": of("max_volume"), "volume_start": of("initial_volume"),
        "turbine_min": of("min_turn"), "turbine_max": of("max_turn"), "spill_max": np.full(len(plants), most),
        "spill_cost": of("spill_cost"), "production": of("production_factor") / base, "head": case.head * storage,
        "hydro_cost": [fee[0] if fee else 0.0 for fee in fees], "turbine_links": turbine, "spill_links": spill,
        "thermal_max": [merged[price] for price in sorted(merged)], "thermal_cost": sorted(merged),
        "demand": met, "deficit_cost": grid["cost_deficit"] * base, "flow_volume": unit,
        "mean_inflow": inflows.mean((0, 1)),
    }  # fmt: skip
    return System(**{k: np.asarray(v, np.float32) for k, v in numbers.items()}, depth=_depth(turbine + spill))


def _depth(links: np.ndarray) -> int:
    """The longest chain of links.

    Raises:
      ValueError: water would run in a circle.
    """
    power, depth = (links > 0).astype(int), 0
    while power.any():
        power, depth = power @ (links > 0), depth + 1
        if depth > len(links):
            raise ValueError("the plants' links run in a circle: downstream_turn and downstream_spill must not")
    return depth


@dataclass(frozen=True, kw_only=True)
class Inflows(Data):
    """Paths of inflows: {"inflow": float32 (batch, T, R)}, at each stage one joint scenario of all plants.

    Args:
      case: where scenarios are from; a path longer than the record goes round it.
      stages: T.
      batch: paths in a global batch.
      seed: of the draws. Others' paths are as good as surely others: there are S^T.

    >>> data = Inflows(case=Cascade(), stages=4, batch=2)
    >>> data.take(np.arange(2))["inflow"].shape
    (2, 4, 2)
    """

    case: Any
    stages: int
    batch: int
    seed: int = 0
    count: int | None = None

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        return {"inflow": jax.ShapeDtypeStruct((self.stages, self.case.plants), np.float32)}

    def size(self) -> int:
        """As many as one would want: paths are not counted."""
        return 2**40

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        record = self.case.inflows()
        which = random_words(self.seed, numbers, self.stages) % np.uint64(record.shape[1])
        stages = np.arange(self.stages) % len(record)
        return {"inflow": record[stages, which.astype(np.int64)]}

    def held_out(self, batches: int, split: str = "test") -> Inflows:
        """Other paths from the same scenarios, in a fixed number of batches."""
        return replace(self, seed=~self.seed, count=batches)

    def digest(self) -> str:
        return self.case.digest()


__all__ = ["Cascade", "Hydro", "Inflows", "System"]
