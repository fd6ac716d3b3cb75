"""Columns of the survey of architectures: what was found in a model, what its definition says, and what it cost."""

from __future__ import annotations

from unravelnet.columns.column import Column

ARCHITECTURES = (
    Column("library", "Library", "text", "Package that defines the model, or where else its definition comes from."),
    Column("family", "Family", "text", "File of the library that defines the model."),
    Column("model", "Model", "text", "Name of the model, or of the class it is made of, in its library."),
    Column(
        "verdict", "Captured", "text",
        '"right": modules, modules inside others and junctions are those of the definition, and the outputs are equal. '
        '"wrong": something of it is not. "refused as expected": the reason is the one that the definition gives. '
        '"refused": it is another one. "failed": the capture ended in any other way.',
    ),
    Column(
        "n_modules_expected", "Modules by definition", "whole number",
        "Number of residual modules by the definition of the model, counted by hand.", unit="modules",
    ),
    Column(
        "n_nested", "Modules inside others", "whole number",
        "Number of residual modules inside others, to any depth.", unit="modules",
    ),
    Column(
        "n_nested_expected", "Modules inside others by definition", "whole number",
        "Number of residual modules inside others by the definition of the model, counted by hand.", unit="modules",
    ),
    Column("junctions", "Junctions", "text", "How many junctions of each kind were found; plain layers have none."),
    Column(
        "junctions_expected", "Junctions by definition", "text",
        "How many junctions of each kind the definition of the model has, counted by hand.",
    ),
    Column(
        "n_unexplained", "Unexplained", "whole number", "Lines that the captured network lists as unexplained.",
    ),
    Column(
        "difference", "Difference of outputs", "number",
        "Largest difference between the outputs of captured network and model on five random inputs, relative to the "
        "largest output.",
    ),
    Column("capture_seconds", "Capture", "number", "Processor time of `unravel`.", unit="seconds"),
    Column(
        "forward_seconds", "Forward pass", "number",
        "Processor time of one forward pass of the example, the shorter of two.", unit="seconds",
    ),
    Column(
        "capture_mib", "Memory of the capture", "number",
        "Peak of the memory during `unravel`, beside what the process had before it.", unit="MiB",
    ),
    Column("weights_mib", "Weights", "number", "Memory of all parameters and buffers of the model.", unit="MiB"),
    Column("reason", "Reason", "text", "Why a model is wrong, refused or failed; empty where it is right."),
    Column("definition", "By definition", "text", "How the number of residual modules follows from the definition."),
    Column("hardware", "Hardware", "text", "Processor, cores and memory of the machine."),
    Column("versions", "Versions", "text", "Versions of the packages that can change the number."),
    Column("commit", "Commit", "text", "Commit of the source that computed the row."),
)  # fmt: skip
