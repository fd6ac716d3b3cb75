"""Lesions of several trainings: networks, and not images or modules, are the sample."""
