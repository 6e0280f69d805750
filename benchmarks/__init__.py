"""Measurements of airctl against other ways to do the same work; nothing in the package imports them."""

import airctl  # noqa: F401  # before torch: it says how threads wait, and both sides of a comparison wait alike
