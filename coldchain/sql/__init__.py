"""The catalogue in a SQL database."""
