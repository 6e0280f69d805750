"""Models that come with airctl, as ``airctl export`` writes them, with a card of each; ``make models`` makes them."""
