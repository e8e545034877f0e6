"""The suite: a folder for each room of the house, and house/ for the rules of the house itself."""
