"""Measurements of airctl against other ways to do the same work; nothing in the package imports them."""

import os

# Threads that spin while they wait make every step many times slower as soon as another process wants a core. Set
# before torch is imported, and the same for all that is compared.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
