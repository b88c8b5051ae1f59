"""Reports of what was measured: a page for people, JSON, CSV and Markdown."""
