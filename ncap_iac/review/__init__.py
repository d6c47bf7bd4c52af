"""Documents before anything is deployed: problems, migration, and what a pull request changes."""
