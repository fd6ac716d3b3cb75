"""Columns of what says how much a module matters."""

from __future__ import annotations

from unravelnet.columns.column import Column

SCORES = (
    Column(
        "deletion", "Deletion effect", "number",
        "Mean loss of the images without the module minus that of the intact network.", unit="nats",
        has_interval=True,
    ),
    Column(
        "deletion_error_rate", "Deletion effect on the error", "number",
        "`error_rate` without the module minus that of the intact network.", unit="percentage points",
        has_interval=True,
    ),
    Column(
        "first_order", "First-order estimate", "number",
        "−g · b: the gradient of the loss at the junction times what the branch changes there; `deletion` to first "
        "order.", unit="nats", has_interval=True,
    ),
    Column(
        "block_influence", "Block Influence", "number",
        "1 − cos of the stream before and behind the module, at each position, the mean over positions.",
        has_interval=True,
    ),
    Column(
        "angular_distance", "Angular distance", "number",
        "arccos / π of the cosine of the stream before and behind the module: at the last token of a text, else the "
        "mean over positions.", has_interval=True,
    ),
    Column(
        "relative_magnitude", "Relative magnitude", "number",
        "‖b‖ / ‖s‖ at the junction: s is the stream that a deletion leaves, b what the branch changes of it.",
        has_interval=True,
    ),
    Column(
        "gradient_cosine", "Cosine with the gradient", "number",
        "Cosine of b and the gradient of the loss at the junction.", has_interval=True,
    ),
    Column(
        "path_gradient_share", "Share of the path gradient", "number",
        "‖Jᵀg‖ / (‖Sᵀg‖ + ‖Jᵀg‖) with the Jacobians J of the branch and S of the skip, and the gradient g at the "
        "junction.", unit="share", has_interval=True,
    ),
)  # fmt: skip
