"""Tensors of a safetensors file, checked by its header before any of them is read.

A header says name, type, shape and place of each tensor. From it we know what reading would
allocate, and that whole numbers, which a conversion would round, do not stand where fractions are
expected.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from music.messages import excerpt

MAX_HEADER_BYTES = 4 << 20
"""a header of 256 layers has 300 kB"""
FRACTIONS = ("F32", "F16", "BF16")
"""types that float32 holds exactly"""


class WeightsError(ValueError):
    """A file whose tensors cannot be used; the message says what is wrong with which tensor."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a safetensors file says of itself."""

    shapes: dict[str, tuple[int, ...]]
    types: dict[str, str]
    """such as F32"""
    metadata: dict[str, str]


def read_header(path: Path) -> Header:
    """The header of a safetensors file.

    Raises:
        WeightsError: for a file that is none, or whose header is too long.
        OSError: when it cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(8)
    length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
    if length > MAX_HEADER_BYTES:
        raise WeightsError(
            f"it is not safetensors, or its header of {length} bytes is above {MAX_HEADER_BYTES}"
        )
    try:
        with safe_open(path, framework="pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            return Header(
                shapes={name: tuple(one.get_shape()) for name, one in slices.items()},
                types={name: one.get_dtype() for name, one in slices.items()},
                metadata=file.metadata() or {},
            )
    except SafetensorError as error:
        raise WeightsError(f"it is not safetensors: {excerpt(str(error), 80)}") from error


def check_shapes(header: Header, wanted: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse a file without one of these tensors, or with another shape of one.

    Raises:
        WeightsError: with the first one that is missing or has another shape.
    """
    for name, shape in wanted.items():
        if header.shapes.get(name) != shape:
            found = header.shapes.get(name)
            has = "is missing" if found is None else f"has another shape, {excerpt(str(found))}"
            raise WeightsError(f"{name} {has}; {shape} is expected")


def read_tensors(
    path: Path, header: Header, *, types: tuple[str, ...] = FRACTIONS
) -> dict[str, Tensor]:
    """All tensors of a file, whose header was checked.

    Raises:
        WeightsError: for tensors of other types, and for numbers that are not finite.
        OSError: when it cannot be read.
    """
    for name, kind in header.types.items():
        if kind not in types:
            raise WeightsError(
                f"{excerpt(name, 80)} has the type {kind}, which would be rounded; read are "
                f"{', '.join(types)}"
            )
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in header.shapes}
    except SafetensorError as error:
        raise WeightsError(f"it cannot be read: {excerpt(str(error), 80)}") from error
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise WeightsError(f"{excerpt(name, 80)} has numbers that are not finite")
    return tensors
