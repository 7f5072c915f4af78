"""Readers of what a model is kept in: policies, taste profiles, neural rewards, checkpoints."""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import shutil
import struct
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from music.corpora.corpus import load_corpus
from reward.neural.blend import Blend, BlendError
from reward.profile.feature_scale import features_of
from reward.profile.profile import TasteError, TasteProfile
from tests.fuzz.mutation import json_bytes, mutated_json
from tests.fuzz.target import Target, workplace
from tests.support.project import PROJECT

THEN = PROJECT / "tests" / "data" / "v0_1_0" / "checkpoints"
CONFIG_WORDS: Sequence[bytes] = (
    *(b"1000000", b"-1", b"0", b"3.5", b"true", b"null", b'"llama"', b'"gelu"', b'"auto"'),
    *(b'"num_hidden_layers"', b'"hidden_size"', b'"vocab_size"', b'"head_dim"', b'"dtype"'),
    *(b'"auto_map": {"AutoConfig": "evil.Config"},', b'"quantization_config": {},'),
    *(b'"torch_dtype": "float64",', b'"_attn_implementation": "x",', b'"rope_type": "linear"'),
)  # fmt: skip
SAFETENSORS_WORDS: Sequence[bytes] = (
    *(b'"F32"', b'"F64"', b'"I64"', b'"BF16"', b'"BOOL"', b'"F8_E4M3"', b"[0,0]", b"[1000000000]"),
    *(b'"__metadata__":{"format":"pt"},', b'"lm_head.weight"', b'"data_offsets"', b'"shape"'),
)  # fmt: skip


def _weights(file: Path) -> bytes:
    return file.read_bytes()


def build_safetensors(seed: Callable[[], bytes], random: Random) -> bytes:
    """A safetensors file with a changed header, whose length is told rightly most of the time."""
    data = seed()
    length = struct.unpack("<Q", data[:8])[0]
    header: dict[str, Any] = json.loads(data[8 : 8 + length])
    body = data[8 + length :]
    if random.random() < 0.3:  # numbers instead of the header: NaN, infinity, giants
        at = random.randrange(len(body) // 4) * 4
        body = body[:at] + random.choice(FLOATS) * random.choice((1, 1, 50)) + body[at + 4 :]
        body = body[: len(data) - 8 - length]
        text = json.dumps(header).encode()
    else:
        name = random.choice(list(header))
        if random.random() < 0.5:
            changed = {**header, name: mutated_json(random, header[name])}
        else:
            changed = mutated_json(random, header)
        text = json_bytes(random, changed)
    told = len(text)
    if random.random() < 0.1:
        told = random.choice((0, told + 1, told - 1, 2**40, 2**63, 2**64 - 1))
    return struct.pack("<Q", told) + text + body


FLOATS = tuple(
    struct.pack("<f", x) for x in (float("nan"), float("inf"), -float("inf"), 3e38, -3e38, 1e-45)
)


def load_policy_of(config: bytes | None = None, weights: bytes | None = None) -> None:
    """A policy folder with this configuration or these weights."""
    from policy.checkpoint import load_policy

    folder = workplace("policy")
    base = THEN / "base"
    (folder / "config.json").write_bytes(config or (base / "config.json").read_bytes())
    (folder / "model.safetensors").write_bytes(weights or _weights(base / "model.safetensors"))
    model = load_policy(folder)
    bad = [name for name, tensor in model.state_dict().items() if not tensor.isfinite().all()]
    assert not bad, f"{bad[0]} has numbers that are not finite"


def _policy_errors() -> tuple[type[Exception], ...]:
    from policy.checkpoint import CheckpointError

    return (CheckpointError,)


def _neural_errors() -> tuple[type[Exception], ...]:
    from reward.neural.model import NeuralRewardError

    return (NeuralRewardError,)


def load_neural(data: bytes) -> None:
    """A neural reward; what is read scores a melody with finite numbers."""
    from reward.neural.model import NeuralReward

    file = workplace("neural") / "neural.safetensors"
    file.write_bytes(data)
    mean, std = NeuralReward.load(file).score(_melodies())
    assert np.isfinite([mean, std]).all(), "a score is not finite"


@cache
def _melodies() -> list[Any]:
    return [strain.melody for strain in load_corpus("test")[:3]]


@cache
def _features() -> np.ndarray:
    return features_of(_melodies())


@cache
def _taste() -> bytes:
    """A taste profile of one rater, with rounded numbers: a small file is read sooner."""
    packed = THEN / "runs" / "likes" / "taste.json.xz"
    body = json.loads(lzma.decompress(packed.read_bytes()))
    body["raters"] = dict(list(body["raters"].items())[:1])
    return json.dumps(body).encode()


def load_taste(data: bytes) -> None:
    """A taste profile; what is read explains itself and scores melodies with finite numbers."""
    file = workplace("taste") / "taste.json"
    file.write_bytes(data)
    profile = TasteProfile.load(file)
    profile.in_words()
    scores = profile.score(_features())
    assert np.isfinite(scores).all(), "a score is not finite"
    assert np.isfinite(profile.win_probability(_features()[:1], _features()[1:2])).all()


def build_taste(random: Random) -> bytes:
    """A profile with one changed value, chosen by name first: most values are in its matrices."""
    body = json.loads(_taste())
    part = random.choice(("", "scale", "group", "raters"))
    inside = body[part] if part else body
    name = random.choice(list(inside))
    inside[name] = mutated_json(random, inside[name])
    if part == "group" and random.random() < 0.2:
        body["group"][name] = [1e308] * 98
    return json_bytes(random, body)


def load_blend(data: bytes) -> None:
    """A blend beside its two files."""
    folder = workplace("blend")
    if not any(folder.iterdir()):
        mixed = THEN / "runs" / "mixed"
        shutil.copy(mixed / "neural.safetensors", folder)
        packed = (mixed / "taste.json.xz").read_bytes()
        (folder / "taste.json").write_bytes(lzma.decompress(packed))
    (folder / "blend.json").write_bytes(data)
    blend = Blend.load(folder)
    assert np.isfinite(blend.parts()).all(), "a part is not finite"


def _blend_errors() -> tuple[type[Exception], ...]:
    return (BlendError, TasteError, *_neural_errors())


def _step_files() -> dict[str, bytes]:
    folder = THEN / "runs" / "finished" / "steps" / "4"
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def load_step(name: str, data: bytes, *, sealed: bool) -> None:
    """A training step of which one file is the input; `sealed`: the manifest says that it is right.

    Whoever can write the folder can write the manifest too.
    """
    from policy.checkpoint import newest_step

    steps = workplace(f"step-{name}")
    folder = steps / "4"
    folder.mkdir(exist_ok=True)
    files = {**_step_files(), name: data}
    if sealed:
        sums = {
            kept: hashlib.sha256(content).hexdigest()
            for kept, content in files.items()
            if kept != "manifest.json"
        }
        files["manifest.json"] = json.dumps(sums).encode()
    for kept, content in files.items():
        (folder / kept).write_bytes(content)
    newest_step(steps)


def _step_seed(name: str) -> bytes:
    return _step_files()[name]


@cache
def _base():
    from policy.checkpoint import load_policy

    return load_policy(THEN / "base")


def read_scale(data: bytes) -> None:
    """The scale of features that a reward run keeps for the next; a damaged one is made anew."""
    from policy.compose import Conditioning
    from reward.training.base_scale import SCALES, base_scale

    root = workplace("base-scale")
    asked = Conditioning(meter="2/4", bars=4)
    if not (root / SCALES).is_dir():
        base_scale(_base(), asked, seed=0, root=root, count=4)
    (file,) = (root / SCALES).glob("*.npz")
    file.write_bytes(data)
    scale = base_scale(_base(), asked, seed=0, root=root, count=4)
    standard = scale.standardise(_features())
    assert standard.shape == _features().shape
    assert np.isfinite(standard).all(), "a feature is not finite"


def build_scale(random: Random) -> bytes:
    """The arrays of a scale, one of which has another shape, kind or number."""
    arrays = {name: np.zeros(98) + 1.0 for name in ("mean_F", "std_F", "centre_F")}
    arrays["covariance_FF"] = np.eye(98)
    name = random.choice(list(arrays))
    arrays[name] = random.choice(
        (
            *(arrays[name][:5], arrays[name][None], arrays[name].astype("U8"), np.zeros(0)),
            *(np.full(98, np.nan), np.full(98, 1e308), -arrays[name], np.zeros(98, complex)),
        )
    )
    if random.random() < 0.2:
        del arrays[random.choice(list(arrays))]
    file = io.BytesIO()
    random.choice((np.savez, np.savez_compressed))(file, **arrays)
    return file.getvalue()


def _base_weights() -> bytes:
    return _weights(THEN / "base" / "model.safetensors")


def _neural_weights() -> bytes:
    return _weights(THEN / "runs" / "mixed" / "neural.safetensors")


def targets() -> tuple[Target, ...]:
    """The targets; a function, because the errors of policies are torch's neighbours."""
    return (
        Target(
            name="policy-config",
            read=lambda data: load_policy_of(config=data),
            refuses=_policy_errors(),
            seeds=lambda: [(THEN / "base" / "config.json").read_bytes()],
            words=CONFIG_WORDS,
            share=0.1,
        ),
        Target(
            name="policy-weights",
            read=lambda data: load_policy_of(weights=data),
            refuses=_policy_errors(),
            seeds=lambda: [_base_weights()],
            words=SAFETENSORS_WORDS,
            build=partial(build_safetensors, _base_weights),
            share=0.1,
        ),
        Target(
            name="neural-reward",
            read=load_neural,
            refuses=_neural_errors(),
            seeds=lambda: [_neural_weights()],
            words=SAFETENSORS_WORDS,
            build=partial(build_safetensors, _neural_weights),
            share=0.05,
        ),
        Target(
            name="taste",
            read=load_taste,
            refuses=(TasteError,),
            seeds=lambda: [_taste()],
            build=build_taste,
            share=0.05,
        ),
        Target(
            name="blend",
            read=load_blend,
            refuses=_blend_errors(),
            seeds=lambda: [(THEN / "runs" / "mixed" / "blend.json").read_bytes()],
            share=0.05,
        ),
        Target(
            name="base-scale",
            read=read_scale,
            seeds=lambda: [b"PK\x03\x04", build_scale(Random(0))],
            words=(b"PK\x05\x06", b"\x93NUMPY", b"'descr': '|O'", b"(98,)", b"(10000000000,)"),
            build=build_scale,
            share=0.05,
        ),
        Target(
            name="step-manifest",
            read=partial(load_step, "manifest.json", sealed=False),
            refuses=_policy_errors(),
            seeds=lambda: [_step_seed("manifest.json")],
            share=0.2,
        ),
        Target(
            name="step-state",
            read=partial(load_step, "state.json", sealed=True),
            refuses=_policy_errors(),
            seeds=lambda: [_step_seed("state.json")],
            share=0.2,
        ),
        Target(
            name="step-tensors",
            read=partial(load_step, "state.safetensors", sealed=True),
            refuses=_policy_errors(),
            seeds=lambda: [_step_seed("state.safetensors")],
            words=SAFETENSORS_WORDS,
            build=partial(build_safetensors, partial(_step_seed, "state.safetensors")),
            share=0.2,
        ),
    )
