"""An image file of any size and mode as the networks take it: three channels, square, small."""

import os
import warnings
from os import PathLike

import numpy as np
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms.v2 import functional

from utils.running.errors import UserError, one_line

# Pillow goes by what is in a file, not by its name: of all else that it reads, PostScript would be run by Ghostscript.
FORMATS = ("PNG", "JPEG", "BMP", "PPM", "TIFF", "WEBP")

# 8,000 × 8,000, beyond today's cameras. Reading takes some 14 bytes a pixel.
MOST_PIXELS = 64_000_000

warnings.filterwarnings("ignore", module=r"PIL\.")  # of odd but readable files


def read(path: str | PathLike[str], size: int = 32) -> Tensor:
    """The image in a PNG, JPEG, BMP, PPM, PGM, TIFF or WebP file; of an animation the first picture.

    It is turned as its EXIF data say. What is transparent shows white. Grey is repeated over the channels, 16 bits are
    reduced to 8. Of an image that is not square the middle square is taken, so that nothing is squeezed; that is then
    resized by torchvision's bilinear filter with antialiasing. An image of size×size pixels stays as it is.

    Returns: uint8 [3, size, size].

    Raises: `UserError` that names the file if it is missing, damaged, no such image, of more than `MOST_PIXELS` pixels,
        or of pixels that are not 8 or 16 bits a channel.
    """
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            raise ValueError("no file")  # opening a pipe would wait for ever
        with Image.open(path, formats=FORMATS) as opened:
            image = _upright_rgb(opened)
    except Exception as error:  # whatever a decoder raises on bytes that are none of its format
        reason = str(error).replace(str(path), "it").strip() or type(error).__name__
        message = (
            f"{path} cannot be read as an image ({reason[:120]}): expected {', '.join(FORMATS)} with 8 or 16 bits "
            f"a channel; replace it, or save it as PNG"
        )
        raise UserError(one_line(message)) from error
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = functional.pil_to_tensor(image.crop((left, top, left + side, top + side)))
    return functional.resize(square, [size, size], antialias=True).contiguous()


def _upright_rgb(image: Image.Image) -> Image.Image:
    """Decodes, turns and converts to 8-bit RGB. Raises ValueError for what the header alone tells."""
    if image.width * image.height > MOST_PIXELS:
        raise ValueError(f"more than {MOST_PIXELS // 10**6} million pixels")
    # A grey PGM of 16 bits, and with some versions of Pillow a PNG, comes in 32; other images of 32 bits do not say
    # what is white.
    deep = image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PPM", "PNG"))
    if image.mode in ("I", "F") and not deep:
        raise ValueError(f"pixels of 32 bits, mode {image.mode!r}")
    image = ImageOps.exif_transpose(image)
    if deep:
        image = Image.fromarray((np.asarray(image.convert("I")) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")
