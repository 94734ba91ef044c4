"""Safetensors are read as fp32, of every width."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from build import tensors
from build.errors import BuildError


def test_every_width_becomes_fp32_exactly(tmp_path: Path) -> None:
    values = torch.tensor([[1.5, -2.25, 0.0], [3e-3, 65504.0, -0.0]])
    widths = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32, "f64": torch.float64}
    held = {name: values.to(dtype) for name, dtype in widths.items()}
    save_file({**held, "ids": torch.arange(3), "none": torch.ones(0)}, tmp_path / "model.safetensors")
    read = dict(tensors.read(tmp_path / "model.safetensors"))
    assert read.keys() == {*held, "none"}
    assert read["none"].shape == (0,)
    for name, tensor in held.items():
        assert read[name].tolist() == tensor.float().tolist()


@pytest.mark.parametrize("content", [b"", b"\xff" * 8, b"\x02\0\0\0\0\0\0\0{}x"])
def test_what_is_no_safetensors_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(BuildError, match="cannot be read"):
        list(tensors.read(tmp_path / "model.safetensors"))
