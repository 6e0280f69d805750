"""``python -m airctl`` is ``airctl``."""

from airctl.cli import main

if __name__ == "__main__":
    main()
