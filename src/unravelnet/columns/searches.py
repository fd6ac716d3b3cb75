"""Columns of searches for modules to delete."""

from __future__ import annotations

from unravelnet.columns.column import Column

SEARCHES = (
    Column(
        "strategy", "Strategy", "text",
        'How modules were chosen, such as "greedy"; "random" for random orders, "intact" for the intact network.',
    ),
    Column(
        "step", "Step", "whole number", "Number of the step of a search; 0 is the intact network.", unit="index",
    ),
    Column("is_chosen", "Result", "truth value", "Whether the row is the result of the search."),
    Column("selected_by", "Chosen by", "text", "The metric that modules were chosen by."),
    Column(
        "estimate", "Estimate", "number",
        "What the strategy chose the step by: a change of the metric, estimated on as many images as the choice took, "
        "or a score. The strategy says which.",
    ),
    Column(
        "selection_value", "Metric on the data to choose on", "number",
        "The metric of `selected_by` on all images that modules were chosen on.",
    ),
    Column(
        "selection_difference", "Change on the data to choose on", "number",
        "`selection_value` minus that of the intact network.",
    ),
    Column(
        "selection_error_rate", "Error on the data to choose on", "number",
        "Error rate on the images that modules were chosen on.", unit="share",
    ),
    Column(
        "n_selection_images", "Size of the data to choose on", "whole number",
        "Number of images that modules were chosen on; none of them is among those that the row was measured on.",
        unit="images",
    ),
    Column(
        "macs_left", "MACs left", "number",
        "Multiply-accumulate operations of the route, as a share of the intact network's.", unit="share",
    ),
    Column(
        "parameters_left", "Parameters left", "number",
        "Parameters that the route needs, as a share of the intact network's.", unit="share",
    ),
    Column(
        "latency_left", "Time left", "number",
        "Median time of the route for one image, as a share of the intact network's, timed in turns; none unless the "
        "budget asks for it.", unit="share",
    ),
    Column("first_set", "First calibration set", "text", "Name of the first of two calibration sets."),
    Column("second_set", "Second calibration set", "text", "Name of the second of two calibration sets."),
    Column(
        "n_deleted_second", "Modules deleted on the second set", "whole number",
        "Number of modules that the search on the second set deleted; `n_deleted` is that on the first.",
        unit="modules",
    ),
    Column(
        "n_shared", "Modules deleted on both sets", "whole number", "Number of modules that both searches deleted.",
        unit="modules",
    ),
    Column(
        "jaccard", "Jaccard index", "number",
        "`n_shared` over the number of modules that any of both searches deleted; 1 where they deleted the same.",
    ),
    Column(
        "jaccard_by_chance", "Jaccard index by chance", "number",
        "Mean Jaccard index of two random sets of modules, as many as the searches deleted.",
    ),
    Column(
        "chance_of_overlap", "Chance of as much overlap", "number",
        "Probability that two such random sets share `n_shared` modules or more (hypergeometric).", unit="share",
    ),
)  # fmt: skip
