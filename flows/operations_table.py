"""The operations of a study as a table, with hours and money where the user says at which rates."""

from dataclasses import dataclass
from typing import Any

from flows.study_operations import StudyOperations


@dataclass(frozen=True, slots=True)
class Rates:
    """What the user says of a device; nothing here has measured it.

    Attributes:
        flops_per_second: What it achieves on this work, which is well below what it is sold by.
        price_per_hour: Of the device, in any currency; None: unknown.
    """

    flops_per_second: float
    price_per_hour: float | None = None

    def hours(self, operations: int) -> float:
        """Of one device."""
        return operations / self.flops_per_second / 3600

    def price(self, operations: int) -> float | None:
        """Of these hours."""
        per_hour = self.price_per_hour
        return None if per_hour is None else per_hour * self.hours(operations)


def named_rates(flops_per_second: float | None, price_per_hour: float | None) -> Rates | None:
    """The rates of a command line; None where it names none.

    Raises:
        ValueError: If one is not above 0, or a price stands without a speed.
    """
    for name, value in (
        ("--flops-per-second", flops_per_second),
        ("--price-per-hour", price_per_hour),
    ):
        if value is not None and not 0 < value < float("inf"):
            raise ValueError(f"{name} must be a number above 0, got {value:g}; correct it")
    if flops_per_second is None:
        if price_per_hour is not None:
            raise ValueError("--price-per-hour needs --flops-per-second, got none; name both")
        return None
    return Rates(flops_per_second, price_per_hour)


def operations_text(found: StudyOperations, rates: Rates | None) -> str:
    """A table for people."""
    lines = [["what is left", "how many", "FLOP each", "in all"]]
    lines += [
        [row.what, f"{row.count:,} {row.unit}", f"{row.each:.3g}", f"{row.in_all:.3g}"]
        for row in found.rows
    ]
    lines.append(["together", "", "", f"{found.in_all:.3g}"])
    if rates is not None:
        operations = [row.in_all for row in found.rows] + [found.in_all]
        _add_column(lines, "hours", [rates.hours(one) for one in operations])
        if rates.price_per_hour is not None:
            _add_column(lines, "price", [rates.price(one) or 0.0 for one in operations])
    said = ["operations, by the shapes that pass through the networks; nothing was timed"]
    said += [f"  {line}" for line in _aligned(lines)]
    if rates is not None:
        said.append(
            f"  hours of one device at {rates.flops_per_second:.3g} FLOP/s, as you named it"
        )
    said += [f"  not counted: {reason}" for reason in found.not_counted]
    return "\n".join(said)


def operations_dict(found: StudyOperations, rates: Rates | None) -> dict[str, Any]:
    """The same for JSON."""
    rows: list[dict[str, Any]] = [
        {
            "what": row.what,
            "count": row.count,
            "unit": row.unit,
            "flop_each": row.each,
            "flop": row.in_all,
        }
        for row in found.rows
    ]
    total: dict[str, Any] = {"rows": rows, "flop": found.in_all}
    if rates is not None:
        for part in [*rows, total]:
            part |= {"hours": rates.hours(part["flop"]), "price": rates.price(part["flop"])}
        total["flops_per_second"] = rates.flops_per_second
    return total | {"not_counted": list(found.not_counted)}


def _add_column(lines: list[list[str]], name: str, values: list[float]) -> None:
    for line, value in zip(lines, [name, *(f"{one:,.1f}" for one in values)], strict=True):
        line.append(value)


def _aligned(lines: list[list[str]]) -> list[str]:
    """Words to the left, figures to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place < 2 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
