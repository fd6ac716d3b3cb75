"""How studies were measured, in sentences: n, data, intervals, seeds."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from unravelnet.errors import EvaluationError
from unravelnet.escaping import shortened
from unravelnet.readers.rows import interval_text, measured, n_images_text, ordered, unit_of
from unravelnet.readers.spectrum import fact
from unravelnet.records.record import Table
from unravelnet.reporting.contents import StudiedNetwork
from unravelnet.reporting.words.sentences import listed
from unravelnet.wording import counted


def samples(chosen: Sequence[StudiedNetwork], study: str) -> list[str]:
    """Say for each network how the study was measured; once where it is the same."""
    texts: dict[str, list[str]] = {}
    for network in chosen:
        if study in network.tables:
            try:
                texts.setdefault(on_sample(network.tables[study]), []).append(network.title)
            except EvaluationError:
                continue
    return [text if len(texts) == 1 else f"{listed(titles)}: {text}" for text, titles in texts.items()]


def on_sample(table: Table) -> str:
    """Say what was measured: n, data, precision, intervals, seeds, and what is not complete."""
    study = measured(table)
    rows = study.rows
    parts = [n_images_text(rows)]
    for column, words in (("data_name", "of {}"), ("precision", "in {}")):
        known = _distinct(rows, column)
        parts += [words.format(listed(known))] if known else []
    parts.append(f"; {interval_text(rows)}")
    seeds = _distinct(rows, "seed")
    parts += [f"; seed {listed(seeds)}"] if seeds else []
    text = " ".join(parts).replace(" ;", ";")
    return f"{text}.{_on_trouble(rows)}"


def on_plain_sample(table: Table, *, by: str) -> str:
    """Say how else was measured: n, data, intervals, seed."""
    rows = ordered(table, by=by)
    data = fact(rows, "data_name")
    has_intervals = any(column.endswith("_low") for column in table.columns)
    metric = "error_rate" if "error_rate_low" in table.columns else by
    intervals = f"; {interval_text(rows, metric)}" if has_intervals else ""
    text = f"{n_images_text(rows)}{f' of {data}' if data else ''}{intervals}{seed_text(rows)}."
    return f"{text}{_on_statistics(rows)}"


def _on_statistics(rows: pd.DataFrame) -> str:
    """Say where statistics of normalisation come from, if not all are those of the training."""
    if "statistics" not in rows or not (rows["statistics"] == "images").any():
        return ""
    unit = unit_of([rows])
    if (rows["statistics"] == "images").all():
        return f" All statistics of normalisation are those of these {unit}, because the training had smaller ones."
    return (
        f" Where training had collected no statistics of normalisation yet, they are those of these {unit}."
    )


def on_shared_sample(chosen: Sequence[StudiedNetwork], study: str) -> str:
    """Say what the random draws of a study have in common."""
    unit = unit_of(network.tables[study].to_pandas() for network in chosen if study in network.tables)
    return (
        f"All draws of a network take their {unit} from one sample of the test set: how far that lies from the whole "
        "set moves all of them alike."
    )


def seed_text(rows: pd.DataFrame) -> str:
    """Say which seeds were used, as the end of a sentence; empty where none is known."""
    seeds = list(dict.fromkeys(str(seed) for seed in rows["seed"].dropna())) if "seed" in rows else []
    return f"; seed {listed(seeds)}" if seeds else ""


def _on_trouble(rows: pd.DataFrame) -> str:
    partial = int((~rows["complete"].astype(bool)).sum()) if "complete" in rows else 0
    broken = int((rows["n_not_finite"] > 0).sum())
    unit = unit_of([rows])
    text = f" {partial} of {counted(len(rows), 'row')} saw only a part of the {unit}." if partial else ""
    if broken:
        text += f" In {counted(broken, 'row')} some outputs were not finite numbers."
    return text


def _distinct(rows: pd.DataFrame, column: str) -> list[str]:
    return (
        list(dict.fromkeys(shortened(str(value)) for value in rows[column].dropna()))
        if column in rows
        else []
    )
