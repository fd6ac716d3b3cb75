"""timm: a member of every file that registers models, most of them with fewer blocks than usual."""

from __future__ import annotations

from survey import timm_convolutions, timm_mixers
from survey.member import Member

MEMBERS: tuple[Member, ...] = (*timm_convolutions.MEMBERS, *timm_mixers.MEMBERS)
