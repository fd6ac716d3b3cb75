"""The form .pt2: a program of `torch.export`, which runs wherever torch does, without the code of the model."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import fx

from unravelnet.capture.export import read_program, with_plain_signature
from unravelnet.capture.refusals import not_exported
from unravelnet.capture.untouched import quiet
from unravelnet.exporting.subject import FROM_DISK, IN_MEMORY, Subject
from unravelnet.records.record import whole_file

RECEIPT = "receipt.json"
_LOADING = f'torch.export.load(FILE).module(); the receipt by extra_files={{"{RECEIPT}": ""}}'


def write_program(subject: Subject, path: Path) -> None:
    """Write the operators of the route and the weights that they read, and the receipt inside."""
    program, _ = program_of(subject)
    with whole_file(path) as temporary, torch.no_grad():
        torch.export.save(program, temporary)
        subject.check_runs_same(FROM_DISK, torch.export.load(temporary).module())
        receipt = json.dumps(subject.receipt("pt2", subject.pruned, _LOADING), indent=2)
        torch.export.save(program, temporary, extra_files={RECEIPT: receipt})


def program_of(subject: Subject) -> tuple[torch.export.ExportedProgram, fx.GraphModule]:
    """Read what is left on the route as a program, and as a flat graph without in-place operators."""
    pruned, batch = subject.pruned, subject.batches[0]
    subject.check_runs_same(IN_MEMORY, pruned)
    with_plain_signature(pruned, *batch)
    with torch.no_grad(), quiet():
        try:
            program, graph, _ = read_program(pruned, *batch)
        except Exception as error:  # whatever torch.export raises
            raise not_exported(subject.net, error) from error
    # The file is for others: it carries no inputs.
    program.example_inputs = None
    return program, graph
