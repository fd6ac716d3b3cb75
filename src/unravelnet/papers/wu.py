"""Wu, Shen and van den Hengel (2016): wider or deeper."""

from __future__ import annotations

from unravelnet.papers.citation import Paper, Setting, Source, Statement

PAPER = Paper("Wu, Shen and van den Hengel", 2016, "Wider or Deeper", "1611.10080")

_OF = Setting(network="any residual network", training="end to end", data="none")

LINEAR_GROWTH = Statement(
    "The number of sub-networks grows linearly with the number of modules, not exponentially, since a branch is not "
    "linear",
    Source(PAPER, "Fig. 1", "quoted in a summary", _OF),
)
OVER_DEEPENED = Statement(
    "A network with more modules than its effective depth is over-deepened, and its modules are not trained end to end",
    Source(PAPER, "section 3", "quoted in a summary", _OF),
    "The paper did not measure it, and left open how.",
)
