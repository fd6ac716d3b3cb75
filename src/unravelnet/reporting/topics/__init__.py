"""One folder a topic: its chapter, its findings and its claims with their verdicts."""
