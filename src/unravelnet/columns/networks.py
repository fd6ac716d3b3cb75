"""Columns that describe networks, routes and paths."""

from __future__ import annotations

from unravelnet.columns.column import Column

STRUCTURE = (
    Column("index", "Index", "whole number", "Number of the residual module, from 0 in the order of execution."),
    Column("name", "Name", "text", "Name of the residual module in the user's model."),
    Column(
        "kind", "Kind", "text",
        '"identity": the skip is the identity. "projection": the skip computes something. "plain": there is no skip.',
    ),
    Column(
        "junction", "Junction", "text",
        'How skip and branch are joined. "add": their sum. "concatenate": side by side. "partial": their sum on some '
        'channels, and one of them alone on the others. "gate": t · h + (1 - t) · skip where the branch gives h and t.',
    ),
    Column(
        "input_shape", "Input shape", "text",
        "Shape of the module's input for one image or sequence, without the batch.",
    ),
    Column(
        "output_shape", "Output shape", "text",
        "Shape of the module's output for one image or sequence, without the batch.",
    ),
    Column(
        "parameters", "Parameters", "whole number", "Number of learned values of the module: branch, skip and after.",
        unit="parameters",
    ),
    Column(
        "parameters_share", "Share of the parameters", "number",
        "`parameters` divided by those of the whole network, which include stem and head.", unit="share",
    ),
    Column(
        "macs", "MACs", "whole number",
        "Multiply-accumulate operations of one image in convolutions and matrix products; one of them is two "
        "floating-point operations.", unit="MACs",
    ),
    Column(
        "macs_share", "Share of the MACs", "number",
        "`macs` divided by those of the whole network, which include stem and head.", unit="share",
    ),
    Column("inner", "Modules inside", "whole number", "Number of residual modules inside this one.", unit="modules"),
    Column("chain", "Chain", "whole number", "Number of the chain that the module belongs to, from 0.", unit="index"),
    Column("n_modules", "Modules", "whole number", "Number of residual modules of the network.", unit="modules"),
    Column(
        "n_parameters", "Parameters of the network", "whole number", "Number of learned values of the network.",
        unit="parameters",
    ),
    Column("keeps_shape", "Keeps the shape", "truth value", "Whether the module's output has the shape of its input."),
)  # fmt: skip

PATHS = (
    Column("length", "Path length", "whole number", "Modules that a path enters by the branch, 0 … n.",
           unit="modules entered"),
    Column(
        "path_count", "Number of paths", "whole number",
        "Number of paths of length k: C(n, k) in the intact network; a deleted module, or one without skip, is no "
        "choice and does not double it.", unit="paths",
    ),
    Column(
        "path_share", "Share of all paths", "number", "Share of all paths that have this length: C(n, k) / 2ⁿ.",
        unit="share",
    ),
    Column(
        "surviving_share", "Share of paths left", "number",
        "Share of the paths of length k that remain after d deletions: C(n−d, k) / C(n, k).",
        unit="share",
    ),
    Column(
        "path", "Path", "text",
        "One path, with a digit for each module in order: 1 if the path enters it by the branch, 0 if it takes the "
        "skip.",
    ),
    Column("is_left", "Left", "truth value", "Whether the path remains after the deletion."),
)  # fmt: skip
