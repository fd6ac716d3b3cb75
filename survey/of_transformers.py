"""The families of `transformers`, from small configurations with random weights."""

from __future__ import annotations

from survey.member import Member
from survey.transformers_decoders import DECODERS
from survey.transformers_encoders import ENCODERS
from survey.transformers_senses import SENSES

MEMBERS: list[Member] = [*DECODERS, *ENCODERS, *SENSES]
