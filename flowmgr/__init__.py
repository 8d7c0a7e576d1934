"""The flow language, the engine and its journal."""
