"""Compares a network that was changed (patched, or trained further) with the intact one, image by image."""

from __future__ import annotations

from unravelnet.mathematics.intervals import mean_interval, paired_rate_interval
from unravelnet.measuring.evaluation import evaluate
from unravelnet.measuring.sample import Sample
from unravelnet.network import UnraveledNetwork
from unravelnet.pruning.evidence import Evidence
from unravelnet.records.record import Row
from unravelnet.studies.trial import Trial


def compared_row(net: UnraveledNetwork, trial: Trial, sample: Sample, intact: Evidence) -> Row:
    """Measure a changed network as `evaluate` does; its differences are to the intact network.

    `intact`: evidence of that one on the examples of `sample`. Its metrics are measured.
    """
    names = [metric.name for metric in intact.metrics]
    [row] = evaluate(net, [trial], sample, metrics=names, output=intact.output)
    changed = intact.of(net)
    changed.measure([trial.route], intact.n_images)
    for place, metric in enumerate(intact.metrics):
        more = changed.values(trial.route, place) - intact.values(intact.bench.net.full_route, place)
        more = -more if metric.more_is_better else more
        bound = paired_rate_interval if metric.is_rate else mean_interval
        ends = bound(float(more.sum()), float((more**2).sum()), len(more))
        name = f"{metric.name}_difference"
        row |= {name: float(more.mean()), f"{name}_low": ends.low, f"{name}_high": ends.high}
    return row
