"""Steps on other machines: a cluster's workers each hold a place, and a place holds our own worker processes."""
