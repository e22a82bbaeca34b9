"""From a file to columns: thin I/O around pure plans. Knows no Arrow and no torch."""
