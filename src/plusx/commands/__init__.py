"""The commands, which `plusx.cli` puts together. Each imports late the rooms that are slow to import."""
