"""What a run leaves on disk: tables, the results store, files and their provenance."""
