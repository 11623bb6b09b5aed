"""A thumbnail of an uploaded image: `asyncjob serve examples/thumbnail.py`, after `pip install pillow`.

The image is on a disk that the job can reach: the server's, or on AWS one that is mounted. A thumbnail is there whole
or not at all, and a job that runs twice makes the same one.
"""

import os
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta
from PIL import Image

from asyncjob import Jobs

jobs = Jobs()


@jobs.job(timeout=30)
def thumbnail(path: str, size: Annotated[int, Meta(ge=16, le=1_024)] = 128) -> dict[str, Any]:
    """Put a PNG beside the image, at most `size` pixels wide and high."""
    source = Path(path)
    target = source.with_name(f"{source.stem}.{size}.png")
    written = target.with_name(f".{target.name}.{os.getpid()}")
    with Image.open(source) as image:
        image.thumbnail((size, size))
        image.save(written, "PNG")
        width, height = image.size
    written.replace(target)
    return {"path": str(target), "width": width, "height": height}
