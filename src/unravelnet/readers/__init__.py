"""Reading tables: what figures, findings and verdicts share, so that they cannot disagree. Nothing here draws."""
