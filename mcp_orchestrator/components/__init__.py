"""Components: one file each, a folder for each family."""
