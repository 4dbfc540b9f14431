"""An image file of any size and mode as the networks take it: three channels, square, small."""

import warnings
from os import PathLike
from pathlib import Path

import torch
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms.v2 import functional

from utils.errors import UserError


def read(path: str | PathLike[str], size: int = 32) -> Tensor:
    """The image in a file that PIL reads, for instance PNG or JPEG; of an animation the first picture.

    It is turned as its EXIF data say. What is transparent shows white. Grey is repeated over the channels, 16 bits are
    reduced to 8. Of an image that is not square the middle square is taken, so that nothing is squeezed; that is then
    resized by torchvision's bilinear filter with antialiasing. An image of size×size pixels stays as it is.

    Returns: uint8 [3, size, size].

    Raises: `UserError` that names the file if it is missing, damaged, no image, too large to be opened safely (PIL's
        limit, 179 million pixels), or has pixels that are not 8 or 16 bits a channel.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} is not there: expected the file of an image")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd but readable files
            with Image.open(path) as opened:
                square = _middle_square(_upright_rgb(opened, path))
    except UserError:
        raise
    except Exception as error:  # whatever a decoder raises on bytes that are none of its format
        reason = str(error).replace(str(path), "it").strip() or type(error).__name__
        raise UserError(f"{path} cannot be read as an image ({reason[:120]}): replace it, or save it as PNG") from error
    pixels = torch.frombuffer(bytearray(square.tobytes()), dtype=torch.uint8).view(square.height, square.width, 3)
    return functional.resize(pixels.permute(2, 0, 1), [size, size], antialias=True).contiguous()


def _upright_rgb(image: Image.Image, path: Path) -> Image.Image:
    """Decodes, turns and converts to 8-bit RGB."""
    if image.mode in ("I", "F"):
        raise UserError(
            f"{path} has pixels of 32 bits (PIL's mode {image.mode!r}), of which none says what is white: save it "
            f"with 8 bits a channel"
        )
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        high = (torch.frombuffer(bytearray(image.convert("I").tobytes()), dtype=torch.int32) >> 8).to(torch.uint8)
        image = Image.frombytes("L", image.size, high.numpy().tobytes())
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _middle_square(image: Image.Image) -> Image.Image:
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))
