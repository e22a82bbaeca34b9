"""From columns to a file: thin I/O around pure plans. Knows no Arrow and no torch."""
