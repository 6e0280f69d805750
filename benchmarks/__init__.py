"""Measurements of airctl against other ways to do the same work; nothing in the package imports them."""
