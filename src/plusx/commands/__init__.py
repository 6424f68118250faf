"""The commands of more than one room, which `plusx.cli` puts together. Each imports late what is slow."""
