"""What a video shows and sounds like: a moving sun over waves, drawn from its prompt, in its variant's colours."""

import colorsys
import hashlib
import re
from dataclasses import dataclass

FRAMES_PER_SECOND = 24


@dataclass(frozen=True)
class Palette:
    """Four colours from the deep to the bright, as ffmpeg writes them."""

    deep: str
    body: str
    bright: str
    light: str


VARIANT_PALETTES = {
    "soft": Palette(deep="0x06395f", body="0x0f7fb5", bright="0x2ec4c6", light="0xbdf5ee"),
    "medium": Palette(deep="0x0a4425", body="0x178a4a", bright="0x5cc45a", light="0xe2f7b8"),
    "aggressive": Palette(deep="0x5a0f08", body="0xc22a12", bright="0xff7a1a", light="0xffe08a"),
    "ultra": Palette(deep="0x35095c", body="0x8a1bb0", bright="0xe0349f", light="0xffc2ec"),
}


def digest(prompt: str) -> bytes:
    """The 32 bytes that everything about a prompt's video is drawn from."""
    return hashlib.sha256(prompt.encode()).digest()


def palette(prompt: str) -> Palette:
    """The colours of the first variant the prompt names; without one, colours that are the prompt's own."""
    match = re.search(rf"(?<![a-z])({'|'.join(VARIANT_PALETTES)})(?![a-z])", prompt, re.IGNORECASE)
    return VARIANT_PALETTES[match[1].lower()] if match else _own_palette(digest(prompt)[0] / 256)


def filter_graph(prompt: str, *, width: int, height: int, seconds: int) -> str:
    """An ffmpeg filter graph of the prompt's picture [v] and sound [a], the same for the same prompt."""
    colours, draw = palette(prompt), _Draw(digest(prompt))
    parts = [
        _sky(colours, width, height, seconds),
        _sun(colours, draw, min(width, height)),
        _overlay("[sky][sun]", "[seen0]", x=_sway(draw, "(W-w)/2", "W*0.25"), y=_sway(draw, "H*0.3-h/2", "H*0.1")),
    ]
    for number, colour in enumerate((colours.bright, colours.body, colours.deep)):
        parts.append(_wave(number, colour, draw, width, height))
        heave = f"H-h+h*0.03*(1+sin(t*{draw.between(1.5, 2.5)}+{number}))"
        parts.append(_overlay(f"[seen{number}][wave{number}]", f"[seen{number + 1}]", x="0", y=heave))
    parts += ["[seen3]format=yuv420p[v]", _tone(draw, seconds)]
    return ";".join(parts)


class _Draw:
    """Numbers drawn from a digest one after the other, the same for the same prompt."""

    def __init__(self, source: bytes) -> None:
        self._left = iter(source)

    def between(self, low: float, high: float) -> float:
        """The next number from low to high."""
        return round(low + (high - low) * next(self._left) / 255, 4)


def _own_palette(hue: float) -> Palette:
    shades = ((0.18, 0.3), (0.4, 0.25), (0.6, 0.3), (0.88, 0.3))
    channels = [colorsys.hls_to_rgb(hue, lightness, saturation) for lightness, saturation in shades]
    return Palette(*("0x" + "".join(f"{round(255 * channel):02x}" for channel in rgb) for rgb in channels))


def _sky(colours: Palette, width: int, height: int, seconds: int) -> str:
    """A slowly turning gradient, computed at a quarter of the size because a gradient loses nothing by it."""
    small_width, small_height = max(8, width // 4), max(8, height // 4)
    return (
        f"gradients=s={small_width}x{small_height}:r={FRAMES_PER_SECOND}:d={seconds}:n=3:speed=0.0015:type=linear"
        f":x0={small_width // 2}:y0=0:x1={small_width // 2}:y1={small_height * 5 // 8}"
        f":c0={colours.body}:c1={colours.bright}:c2={colours.light},"
        f"scale={width}:{height}:flags=bilinear,setsar=1,format=yuv420p[sky]"
    )


def _sun(colours: Palette, draw: _Draw, side: int) -> str:
    diameter = int(side * draw.between(0.3, 0.5))
    return _still(colours.light, diameter, diameter, "(W/2-hypot(X-W/2,Y-H/2))/1.5") + "[sun]"


def _wave(number: int, colour: str, draw: _Draw, width: int, height: int) -> str:
    """A layer of water that scrolls by, its crest a sum of sines that meets itself at the edges."""
    crests = number + round(draw.between(2, 4))
    crest = f"H*0.09*(1+sin(2*PI*{crests}*X/W+{draw.between(0, 6.28)})*(0.6+0.4*sin(2*PI*X/W+{draw.between(0, 6.28)})))"
    layer_height = max(4, int(height * (0.52 - 0.12 * number)))
    speed = (-1) ** number * draw.between(0.002, 0.004) * (1 + number / 2)
    return (
        _still(colour, width, layer_height, f"0.85*(Y-{crest})/1.5", most=0.85) + f",scroll=h={speed:.5f}[wave{number}]"
    )


def _still(colour: str, width: int, height: int, alpha: str, *, most: float = 1.0) -> str:
    """One drawn frame, repeated: the shape is computed once, whatever the length."""
    return (
        f"color={colour}:s={width}x{height}:r={FRAMES_PER_SECOND},format=yuva420p,trim=end_frame=1,"
        f"geq=lum='lum(X,Y)':cb='cb(X,Y)':cr='cr(X,Y)':a='255*clip({alpha},0,{most})',"
        f"loop=-1:1,setpts=N/{FRAMES_PER_SECOND}/TB"
    )


def _overlay(inputs: str, output: str, *, x: str, y: str) -> str:
    return f"{inputs}overlay=x='{x}':y='{y}':shortest=1{output}"


def _sway(draw: _Draw, middle: str, reach: str) -> str:
    return f"{middle}+{reach}*sin(t*{draw.between(0.6, 1.6)}+{draw.between(0, 6.28)})"


def _tone(draw: _Draw, seconds: int) -> str:
    frequency = draw.between(110, 330) + draw.between(0, 0.8)
    return f"sine=f={frequency}:r=48000:d={seconds},volume=0.2,tremolo=f={draw.between(2, 5)}:d=0.4[a]"
