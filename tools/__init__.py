"""Programs for people who work on packstore; none of them is installed with it."""
