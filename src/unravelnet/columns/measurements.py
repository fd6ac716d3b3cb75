"""Columns of lesion studies and ensembles, and what every measurement says of itself."""

from __future__ import annotations

from unravelnet.columns.column import Column

LESIONS = (
    Column(
        "study", "Study", "text", 'Name of the study, such as "delete_each", "delete_many" or "repeat_spans".',
    ),
    Column("label", "Lesion", "text", 'Short description of the trial; "intact" for the intact network.'),
    Column("repeat", "Draw", "whole number", "Number of the random draw, from 0.", unit="index"),
    Column("route", "Route", "text", "The text of the route."),
    Column(
        "module", "Module", "whole number",
        "Number of the residual module that the row is about, from 0; in a lesion it is the one that is deleted, "
        "scaled, entered, put at its mean or loses its skip, if there is exactly one.", unit="index",
    ),
    Column(
        "unit", "Unit", "text", 'What the study changes: "block" for whole blocks; empty where it is single modules.'
    ),
    Column(
        "block", "Block", "whole number",
        "Number of the block that is deleted, from 0, if there is exactly one; `module` is then its first module.",
        unit="index",
    ),
    Column(
        "first_module", "First module", "whole number",
        "Number of the first module of a pair or of a span; of the only one where a single module is deleted.",
        unit="index",
    ),
    Column(
        "second_module", "Second module", "whole number",
        "Number of the second module of a pair; none where a single module is deleted.", unit="index",
    ),
    Column(
        "last_module", "Last module", "whole number", "Number of the last module of a span.", unit="index"
    ),
    Column(
        "factor", "Factor of the branch", "number",
        "Number that the branch of the module is multiplied by; 0 deletes the module.",
    ),
    Column(
        "interaction", "Interaction", "number",
        "`error_rate_difference` of a pair of deleted modules minus that of each of them alone. The interval is as "
        "wide as those of the three differences together.", unit="percentage points", has_interval=True,
    ),
    Column(
        "n_deleted", "Number of deleted modules", "whole number", "Number of visits in mode skip.", unit="modules"
    ),
    Column(
        "n_skips_removed", "Number of removed skips", "whole number", "Number of visits in mode branch.",
        unit="modules",
    ),
    Column(
        "kendall_tau", "Kendall's τ to the original order", "number",
        "Rank correlation of the order of the route with the full order: 1 − 4 · inversions / (n (n−1)), which is 1 "
        "for the same order and −1 for the reverse.",
    ),
    Column("complete", "Complete", "truth value", "Whether the measurement was finished and not interrupted."),
    Column(
        "n_not_finite", "Predictions not finite", "whole number",
        "Number of predictions with a logit that is NaN or infinite.", unit="predictions",
    ),
    Column(
        "mean_share", "Share of the mean", "number",
        "Mean square of the mean of a branch over that of the branch: 1 where the branch is the same for every input.",
        unit="share",
    ),
)  # fmt: skip

METRICS = (
    Column(
        "error_rate", "Error", "number",
        "Share of predictions with argmax z ≠ y, or with a z that is not finite.",
        unit="share", has_interval=True, has_difference=True,
    ),
    Column(
        "top5_error_rate", "Top-5 error", "number",
        "Share of predictions whose target is not among the five largest z.",
        unit="share", has_interval=True, has_difference=True,
    ),
    Column(
        "loss", "Cross-entropy loss", "number", "Mean of −log p(y).",
        unit="nats", has_interval=True, has_difference=True,
    ),
    Column(
        "accuracy", "Accuracy", "number",
        "Share of predictions with argmax z = y and a finite z: 1 − `error_rate`. Of a text, a prediction is of the "
        "next token; of pairs and questions, of the likeliest option.",
        unit="share", has_interval=True, has_difference=True,
    ),
    Column(
        "nll", "Negative log-likelihood", "number", "Mean of −log p(y), the name of `loss` for language models.",
        unit="nats", has_interval=True, has_difference=True,
    ),
    Column(
        "perplexity", "Perplexity", "number",
        "exp of the mean of −log p(y). The ends of its interval are those of the mean, exponentiated; that of its "
        "difference is by the delta method.",
        has_interval=True, has_difference=True,
    ),
    Column(
        "agreement", "Agreement with the intact network", "number", "Share of predictions with argmax z = argmax z⁰.",
        unit="share", has_interval=True, has_difference=True,
    ),
    Column(
        "kl_divergence", "KL divergence from the intact network", "number", "Mean of Σ p⁰ (log p⁰ − log p).",
        unit="nats", has_interval=True, has_difference=True,
    ),
    Column(
        "cosine", "Cosine with the intact network's outputs", "number", "Mean of z · z⁰ / (‖z‖ ‖z⁰‖).",
        has_interval=True, has_difference=True,
    ),
    Column(
        "squared_error", "Squared error against the intact network", "number",
        "Mean of (z − z⁰)², over the numbers of a prediction.", has_interval=True, has_difference=True,
    ),
)  # fmt: skip

FACTS = (
    Column(
        "output", "Output", "text",
        "The tensor that was measured, and its dimension that counts classes: `logits:1` is dimension 1 of the tensor "
        "`logits`.",
    ),
    Column(
        "n_images", "Images", "whole number", "Number of images or sequences that the row was measured on.",
        unit="images",
    ),
    Column(
        "n_predictions", "Predictions", "whole number", "Number of predictions that the row was measured on.",
        unit="predictions",
    ),
    Column(
        "seed", "Seed", "whole number",
        "Seed of everything that the measurement draws at random: images, their order, paths and signs.",
    ),
    Column("precision", "Precision", "text", 'The precision that was used: "float32" or "bfloat16".'),
    Column("confidence", "Confidence", "number", "Level of the intervals in the row.", unit="share"),
    Column("network", "Network fingerprint", "text", "Hash of structure and values of the network."),
    Column("network_name", "Network", "text", "Name of the network for people."),
    Column("network_title", "Network title", "text", "Name of the network as the report shows it."),
    Column("data", "Data fingerprint", "text", "Hash of the data."),
    Column("data_name", "Data", "text", "Name of the data for people."),
    Column(
        "data_unit", "Counted in", "text", "What `n_images` counts: images, sequences, questions or samples.",
    ),
)  # fmt: skip

ENSEMBLES = (
    Column(
        "members", "Members", "text",
        'What is averaged: "routes" of one network, or "networks" that were trained separately.',
    ),
    Column(
        "n_members", "Number of averaged members", "whole number", "How many predictions are averaged.",
        unit="members",
    ),
    Column(
        "n_sets", "Sets of members", "whole number", "Number of sets of members of this size that were measured.",
    ),
    Column(
        "member_error_rate", "Error of one member", "number", "Mean error rate of single members.", unit="share"
    ),
    Column(
        "disagreement", "Disagreement", "number",
        "Share of predictions on which two members differ, the mean over pairs.", unit="share",
    ),
    Column(
        "error_correlation", "Correlation of errors", "number",
        "Phi coefficient of the errors of two members, the mean over pairs.",
    ),
    Column(
        "intact_error_rate", "Error of the intact network", "number",
        "Error rate of the intact network on the same predictions.", unit="share",
    ),
)  # fmt: skip
