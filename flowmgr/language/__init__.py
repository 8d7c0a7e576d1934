"""The flow language: from text to a definition without problems, and on to a plan."""
