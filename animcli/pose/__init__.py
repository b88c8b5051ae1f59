"""Joints over time: found, cleaned, fitted, drawn, kept in files."""
