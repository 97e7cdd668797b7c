"""leadbridge: CRM leads scored, explained and put into the journey that fits them."""

__version__ = "0.1.0"
