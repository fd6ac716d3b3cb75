"""What reports say: numbers in words, claims, and how verdicts follow."""
