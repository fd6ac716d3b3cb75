"""What `unravelnet paths` prints: tables of lengths and modules, and sentences about what follows from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from unravelnet import columns
from unravelnet.cli.output import heading, print_csv, print_json, print_line, print_table
from unravelnet.papers import veit
from unravelnet.wording import counted

if TYPE_CHECKING:
    from unravelnet.data import Loaded
    from unravelnet.network import UnraveledNetwork
    from unravelnet.records.record import Row, Table

SHARE = 0.95
"""The share of the gradient that effective lengths carry."""
# Lengths with less of the gradient are not printed.
_SMALLEST_SHARE = 1e-4
# Deletions that the paper speaks of, but for the most of them.
_DELETED = veit.DELETED_COUNTS[:-1]

_OF_LENGTH = {
    "exact": ("length_gradient_norm", "path_gradient_norm", "share", "length_share", "coherence"),
    "rms": ("path_gradient_rms", "path_gradient_rms_se"),
    "sampled": ("path_gradient_norm", "path_gradient_norm_q05", "path_gradient_norm_q50", "path_gradient_norm_q95",
                "share"),
}  # fmt: skip
_OF_MODULE = {
    "effective_depths": ("n_after", "effective_depth", "mean_length", "is_deeper"),
    "module_measures": (
        "kind",
        "branch_to_stream",
        "branch_stream_cosine",
        "branch_gradient_cosine",
        "gradient_gain",
    ),
}
_DRAWN = {
    "exact": "paths drawn for each length and image",
    "rms": "draws of signs",
    "sampled": "paths drawn for each length",
}
# The norm of single paths, which decays, and what weighs a length.
_PATH_NORMS = ("path_gradient_norm", "path_gradient_rms")
_WEIGHTS = {
    "length_contribution": "the paper's measure, the number of paths times their mean norm",
    "length_gradient_norm": "the norm of the exact sum of all paths of a length",
}


def show(tables: Mapping[str, Table], net: UnraveledNetwork, data: Loaded, form: str) -> None:
    """Print the tables of all studies as "json", "csv" or "table"."""
    from unravelnet.records.record import Table

    if form == "json":
        rows = {study: list(table) for study, table in tables.items()}
        found = {study: findings(table) for study, table in tables.items() if study not in _OF_MODULE}
        print_json(
            {"network": net.name, "n_modules": len(net.residual_modules), "studies": rows, "findings": found}
        )
    elif form == "csv":
        print_csv(Table([{"study": study, **row} for study, table in tables.items() for row in table]))
    else:
        for study, table in tables.items():
            (_print_modules if study in _OF_MODULE else _print_lengths)(study, table, data.unit)


def findings(table: Table) -> dict[str, Any]:
    """Compute what follows from a table of lengths, as JSON values; None where it cannot be said.

    `decay`: fitted to the norms of single paths. `effective_lengths`: of each measure of what a length carries, the
    shortest interval with 95 % of it, and the share of all paths that it holds. `gradient_error`: how far the sum
    over lengths is from autograd's gradient. `surviving_gradient_share`: by the decay, after deleting modules.
    """
    from unravelnet.paths import surviving_gradient_share

    n_modules = int(table[0]["n_modules"])
    decay = _decay(table)
    surviving = {
        str(count): surviving_gradient_share(decay["rate"], count) for count in _deleted(n_modules) if decay
    }
    return {
        "decay": decay,
        "effective_lengths": {
            column: _effective(table, column, n_modules) for column in _WEIGHTS if column in table.columns
        },
        "gradient_error": table[0].get("gradient_error"),
        "surviving_gradient_share": surviving or None,
    }


def _decay(table: Table) -> dict[str, float] | None:
    from unravelnet.errors import EvaluationError
    from unravelnet.mathematics.decay import fit_decay

    column = next((name for name in _PATH_NORMS if name in table.columns), None)
    if column is None:
        return None
    try:
        return asdict(
            fit_decay(_column(table, "length"), _column(table, column), float(table[0]["confidence"]))
        )
    except EvaluationError:  # too few lengths, or no gradient at all
        return None


def _effective(table: Table, column: str, n_modules: int) -> dict[str, float | None] | None:
    from unravelnet.errors import EvaluationError
    from unravelnet.paths import effective_lengths, share_within

    try:
        shortest, longest = effective_lengths(_column(table, column), share=SHARE)
    except EvaluationError:
        return None
    return {
        "shortest": shortest,
        "longest": longest,
        # With parallel streams a path is more than a choice of branches, and paths are not counted.
        "share_of_paths": share_within(n_modules, shortest, longest)
        if table[0]["path_count"] is not None
        else None,
    }


def _column(table: Table, name: str) -> list[float]:
    return [row[name] for row in table]


def _deleted(n_modules: int) -> list[int]:
    """Give the numbers of deleted modules to speak of: the paper's, in proportion for smaller networks.

    >>> _deleted(54), _deleted(27), _deleted(3)
    ([1, 10], [1, 5], [1])
    """
    scale = min(1.0, n_modules / veit.N_MODULES.count)
    return list(dict.fromkeys(max(1, round(count * scale)) for count in _DELETED))


# -- lengths --


def _print_lengths(study: str, table: Table, unit: str) -> None:
    names = [name for name in _OF_LENGTH[table[0]["method"]] if name in table.columns]
    is_left_out = [_is_small(row) for row in table]
    shown = [row for row, is_small in zip(table, is_left_out, strict=True) if not is_small]
    cells = [
        [str(row["length"]), _count(row["path_count"]), *(_cell(row, name) for name in names)]
        for row in shown
    ]
    headings = [heading(name) for name in ("length", "path_count", *names)]
    print_table(_about(study, table, unit), headings, cells)
    for sentence in _sentences(table, is_left_out):
        print_line(sentence)
    print_line()


def _is_small(row: Row) -> bool:
    shares = [row[name] for name in ("share", "length_share") if row.get(name) is not None]
    return bool(shares) and max(shares) < _SMALLEST_SHARE


def _about(study: str, table: Table, unit: str) -> str:
    row = table[0]
    place = "the output of the stem" if row["at"] == "stem" else "the input"
    one = unit.removesuffix("s") if row["per"] == "image" else "batch"
    draws = f", {_DRAWN[row['method']]}: {row['n_draws']:,}" if row["n_draws"] else ""
    return (
        f"{study} of {row['network_name']} on {row['data_name']}: n = {row['n_images']:,} {unit}{draws}. The table "
        f"shows the gradient of the {row['loss_name']} of each {one} at {place}, with "
        f"{row['confidence']:.0%} intervals in brackets"
    )


def _sentences(table: Table, is_left_out: Sequence[bool]) -> Iterator[str]:
    row, found = table[0], findings(table)
    n_modules = int(row["n_modules"])
    is_cut = len(table) <= n_modules
    if any(is_left_out):
        lengths = [row["length"] for row, is_small in zip(table, is_left_out, strict=True) if is_small]
        yield (
            f"Not shown: {_ranges(lengths)}, each with less than {_percent(_SMALLEST_SHARE)} of the sum over lengths."
        )
    if found["decay"]:
        yield _of_decay(found["decay"], float(row["confidence"]))
    of_cut = f"Of paths of up to {counted(len(table) - 1, 'module')}, the" if is_cut else "The"
    for column, effective in found["effective_lengths"].items():
        if effective:
            share = effective["share_of_paths"]
            of_paths = "" if share is None else f"; they are {_percent(share)} of all paths"
            yield (
                f"{of_cut} lengths {effective['shortest']} to {effective['longest']} carry {SHARE:.0%} of the "
                f"gradient by {_WEIGHTS[column]}{of_paths}."
            )
    if found["gradient_error"] is not None:
        yield f"The sum over all lengths is autograd's gradient, up to {found['gradient_error']:.1e} of its norm."
    elif row["method"] == "exact" and is_cut:
        yield "Longer paths were left out. The sum is therefore not the whole gradient and was not compared with it."
    if found["surviving_gradient_share"]:
        left = [
            f"{_percent(share)} for {count} of {counted(n_modules, 'module')}"
            for count, share in found["surviving_gradient_share"].items()
        ]
        yield f"By this decay, d deletions leave (1 + r)^-d of the norms: {', '.join(left)}."


def _of_decay(decay: Mapping[str, float], confidence: float) -> str:
    return (
        f"With every module that a path enters, its gradient changes by the factor r = {decay['rate']:.3g} "
        f"({confidence:.0%} interval {decay['low']:.3g} to {decay['high']:.3g}; R² = {decay['r_squared']:.3f} of a "
        "straight line through the logarithms)."
    )


def _ranges(lengths: Sequence[int]) -> str:
    """Write lengths as ranges.

    >>> _ranges([0, 20, 21, 22]), _ranges([7])
    ('lengths 0, 20 to 22', 'length 7')
    """
    parts: list[list[int]] = []
    for length in lengths:
        if parts and parts[-1][-1] == length - 1:
            parts[-1].append(length)
        else:
            parts.append([length])
    texts = [str(part[0]) if len(part) == 1 else f"{part[0]} to {part[-1]}" for part in parts]
    return f"{'length' if len(lengths) == 1 else 'lengths'} {', '.join(texts)}"


# -- modules --


def _print_modules(study: str, table: Table, unit: str) -> None:
    names = [name for name in _OF_MODULE[study] if name in table.columns]
    row = table[0]
    about = f"{study} of {row['network_name']} on {row['data_name']}: n = {row['n_images']:,} {unit}"
    if any(f"{name}_low" in table.columns for name in names):
        about += f", with {row['confidence']:.0%} intervals in brackets"
    cells = [[str(row["module"]), row["name"], *(_cell(row, name) for name in names)] for row in table]
    headings = [heading(name) for name in ("module", "name", *names)]
    print_table(about, headings, cells)
    if study == "effective_depths":
        n_deeper = sum(row["is_deeper"] for row in table)
        print_line(
            f"For {n_deeper} of {counted(len(table), 'module')} there are more modules behind than the effective "
            f"depth, the length up to which paths carry {row['depth_share']:.0%} of their gradient."
        )
    print_line()


# -- cells --


def _cell(row: Row, name: str) -> str:
    value = row[name]
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str | int):
        return str(value)
    column = columns.find(name)
    write: Callable[[float], str] = _percent if column and column.is_share else "{:.3g}".format
    if row.get(f"{name}_low") is None:
        return write(value)
    return f"{write(value)} [{write(row[f'{name}_low'])}, {write(row[f'{name}_high'])}]"


def _count(count: int | None) -> str:
    """Write an exact count, in powers of ten where it is large; None where paths are not counted.

    >>> [_count(count) for count in (1, 1431, 2**54, 10**400)]
    ['1', '1,431', '1.80e+16', '1.00e+400']
    """
    if count is None:
        return "-"
    return f"{count:,}" if count < 1_000_000 else f"{Decimal(count):.2e}"


def _percent(share: float) -> str:
    """Write a share in percent with three digits.

    >>> [_percent(share) for share in (0.95, 0.00453667, 1e-4, 2.5e-9)]
    ['95%', '0.454%', '0.01%', '2.5e-07%']
    """
    return f"{100 * share:.3g}%"
