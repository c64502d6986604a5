"""`run.sh noisy DIR PICTURE…`: pages as a bad scanner gives them: a little turned, blurred, with noise, as JPEG.

Writes `001.jpg`, `002.jpg`, … to the folder, the same bytes every time.
"""

import argparse
import random
from pathlib import Path

from PIL import Image, ImageChops, ImageFilter

TURNED_DEGREES = 0.4
BLUR_PIXELS = 0.8
NOISE_SIGMA = 8
QUALITY = 88
#: Side of a square of noise, in pixels, that is laid beside itself over a page, from another place on each.
TILE = 1024
GREY = 128


def noise(draw: random.Random) -> Image.Image:
    values = bytes(max(0, min(255, round(draw.gauss(GREY, NOISE_SIGMA)))) for _ in range(TILE * TILE))
    return Image.frombytes("L", (TILE, TILE), values)


def spoil(page: Image.Image, tile: Image.Image, number: int) -> Image.Image:
    page = page.convert("L").rotate(TURNED_DEGREES, resample=Image.Resampling.BICUBIC, fillcolor=255)
    page = page.filter(ImageFilter.GaussianBlur(BLUR_PIXELS))
    grain = Image.new("L", page.size, GREY)
    shift = -(number * 379 % TILE)
    for left in range(shift, page.width, TILE):
        for top in range(shift, page.height, TILE):
            grain.paste(tile, (left, top))
    return ImageChops.add(page, grain, scale=1, offset=-GREY)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("pictures", type=Path, nargs="+")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    tile = noise(random.Random(42))
    for number, picture in enumerate(arguments.pictures, start=1):
        with Image.open(picture) as page:
            spoil(page, tile, number).save(arguments.folder / f"{number:03}.jpg", quality=QUALITY)


main()
