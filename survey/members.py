"""All members of the survey, in the order of its page: a file a library."""

from __future__ import annotations

from collections import Counter

from survey import by_hand, large, of_timm, of_torchvision, of_transformers
from survey.member import Member

MEMBERS: tuple[Member, ...] = (
    *of_torchvision.MEMBERS,
    *of_timm.MEMBERS,
    *of_transformers.MEMBERS,
    *large.MEMBERS,
    *by_hand.MEMBERS,
)


def find(library: str, model: str) -> Member:
    """Find the member of this name. Raises KeyError where there is none, or more than one."""
    name = (library, model)
    if Counter((member.library, member.model) for member in MEMBERS)[name] != 1:
        raise KeyError(f"{library}, {model}: the survey has no such member, or several.")
    return next(member for member in MEMBERS if (member.library, member.model) == name)
