"""Make a scene file: ``airctl generate-data``."""

from __future__ import annotations

from pathlib import Path

from airctl import scenes
from airctl.results.as_json import from_json
from airctl.results.generated import Generated
from airctl.scenes.fetch import Say
from airctl.scenes.generate import say_on_stderr


def generate(
    out: Path | str,
    spec: scenes.SceneSpec | None = None,
    digits: str = "mnist",
    *,
    mnist_dir: Path | str = Path("data/mnist"),
    force: bool = False,
    say: Say = say_on_stderr,
    progress_bar: bool = False,
) -> Generated:
    """Make the scenes of ``spec`` and write them to ``out``; what was there is replaced only by a complete new file.

    ``digits`` is mnist, mnist-5k, font, blobs, or a file or folder of one's own. Raises ``ConfigError`` if ``out``
    exists and ``force`` is not given.
    """
    made = scenes.generate_data(
        Path(out), spec or scenes.SceneSpec(), digits, Path(mnist_dir), force, say=say, progress_bar=progress_bar
    )
    return from_json(Generated, made, str(out))
