"""Picks on paper: tables, documents, and files that appear complete or not at all."""
