"""Picks and windows held against labels: matching, scores, reports."""
