"""Compiled steps for CUDA, as far as a machine without a GPU can tell; `test_gpu.py` is for one that has it."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import seqzoo
from seqzoo.configuration.building import cell_factory
from seqzoo.configuration.registry import names
from seqzoo.kernels.fused import NotCompilable, fused_scan
from seqzoo.kernels.fused import scan as fused
from seqzoo.kernels.fused.plan import plan

SHARED = 227 * 1024  # bytes that a program may have on Hopper
REGISTERS = 255
factory = functools.cache(cell_factory)
FEW = "gru_reset_before"


def interpret(which: str) -> None:
    pytest.importorskip("triton", reason="Triton is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/kernels/interpreted.py", "-k", which],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_the_arithmetic_of_some_cells() -> None:
    interpret(f"({FEW}) and reference or more_rows or over_time")


@pytest.mark.slow
def test_the_arithmetic_of_all_cells() -> None:
    interpret("test")


def test_without_triton_the_next_engine_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("resident", "stepwise", "launching"):
        monkeypatch.delitem(sys.modules, f"seqzoo.kernels.fused.cuda.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.setitem(fused.TARGETS, "cpu", fused.TARGETS["cuda"])
    monkeypatch.setattr(fused, "_programs", {})
    cell, x = seqzoo.create_cell("mgu", 3, 4), torch.randn(2, 5, 3)
    torch.testing.assert_close(cell.scan(x), cell.unroll(x))
    cell.engine = "fused"
    with pytest.raises(ValueError, match="engine=fused cannot run MGU here: Triton is not installed"):
        cell.scan(x)


def test_a_backend_that_fails_is_replaced_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(plan: Any, dtype: Any) -> Any:
        raise NotCompilable("Triton fails")

    native = fused.TARGETS["cpu"]
    monkeypatch.setitem(fused.TARGETS, "cpu", native._replace(backends=(broken, *native.backends)))
    monkeypatch.setattr(fused, "_programs", {})
    cell, x = seqzoo.create_cell("mgu", 3, 4), torch.randn(2, 5, 3)
    torch.testing.assert_close(fused_scan(cell, x, cell.initial_state(2), None), cell.unroll(x))
    monkeypatch.setitem(fused.TARGETS, "cpu", native._replace(backends=(broken,)))
    fused._programs.clear()
    torch.testing.assert_close(cell.scan(x), cell.unroll(x))
    cell.engine = "fused"
    with pytest.raises(ValueError, match="engine=fused cannot run MGU here: Triton fails"):
        cell.scan(x)


def resources(function: Any, signature: dict[str, str], constants: dict[str, Any], warps: int, folder: Path) -> dict:
    """Resources of a kernel on Hopper: REG and STACK per thread, SHARED bytes per program."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    signature = {**signature, **dict.fromkeys(constants, "constexpr")}
    aligned = {
        (place,): [["tt.divisibility", 16]]
        for place, name in enumerate(function.arg_names)
        if signature[name][0] == "*"
    }
    source = ASTSource(function, {name: signature[name] for name in function.arg_names}, constants, aligned)
    built = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": warps, "num_stages": 1})
    (folder / "kernel.cubin").write_bytes(built.asm["cubin"])
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    text = subprocess.run(
        [tool, "--dump-resource-usage", folder / "kernel.cubin"], capture_output=True, text=True, check=True
    ).stdout
    found = {name: int(number) for name, number in re.findall(r"(REG|STACK):(\d+)", text)}
    return {**found, "SHARED": built.metadata.shared}


def of_step(function: Any, block: int, dtype: torch.dtype) -> tuple[dict[str, str], dict[str, Any]]:
    """Signature and constants of a generated kernel."""
    real = {torch.float32: "*fp32", torch.bfloat16: "*bf16"}[dtype]
    kinds = {"order": "*i64", "lengths": "*i64", "table": "*i64", "rows": "i32", "steps": "i32", "offset": "i32"}
    signature = {}
    for name in function.arg_names:
        other = "i32" if name.endswith("_row") else "*fp32" if name.startswith("sum") else real
        signature[name] = kinds.get(name, other)
    constants = {"BLOCK": block, "PRECISION": "tf32x3"}
    constants |= {name: 1 for name in function.arg_names if name.endswith("_column")}
    return signature, {name: value for name, value in constants.items() if name in signature}


def kernels(name: str, hidden_size: int, dtype: torch.dtype, way: str) -> Iterator[tuple]:
    """Name, function, rows per block and warps of the training kernels."""
    from seqzoo.kernels.fused.cuda.resident import Resident
    from seqzoo.kernels.fused.cuda.stepwise import Stepwise

    cell = factory(name)(16, hidden_size)
    with torch.no_grad():
        width = cell.project(torch.zeros(2, 16)).shape[-1]
    program = {"resident": Resident, "stepwise": Stepwise}[way](plan(cell, width, cell.initial_state(2)), dtype)
    for part in ("forward", "backward"):
        if isinstance(program, Resident):
            yield part, program.functions[part], program.block, program.warps
        else:
            code = program.codes[part]
            for stage, function in enumerate(code.functions):
                if function is not None:
                    yield f"{part}{stage}", function, code.block, code.warps


@pytest.fixture
def hopper(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., list[str]]:
    """Compile the kernels of a cell for Hopper, without a GPU; fail if they need too many resources, else list them."""
    pytest.importorskip("triton", reason="Triton is not installed")
    if os.environ.get("TRITON_INTERPRET") == "1":
        pytest.skip("Triton interprets")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))

    def check(name: str, hidden_size: int, dtype: torch.dtype, way: str) -> list[str]:
        lines = []
        for kernel, function, block, warps in kernels(name, hidden_size, dtype, way):
            taken = resources(function, *of_step(function, block, dtype), warps, tmp_path)
            lines.append(f"{name} {hidden_size} {dtype} {way} {kernel}: {taken}")
            assert taken["SHARED"] <= SHARED, lines[-1]
            assert taken["REG"] <= REGISTERS, lines[-1]
        return lines

    return check


@pytest.mark.parametrize(("size", "way"), [(32, "resident"), (512, "stepwise")])
def test_it_compiles_for_hopper(hopper: Callable[..., list[str]], size: int, way: str) -> None:
    assert hopper("mgu", size, torch.float32, way)


@pytest.mark.usefixtures("hopper")
@pytest.mark.parametrize(("parts", "ends"), [(1, False), (2, True)])
def test_the_linear_scan_compiles_for_hopper(parts: int, ends: bool, tmp_path: Path) -> None:
    import triton.language as tl

    from seqzoo.kernels.linear_scan_triton import FEATURES, STEPS, kernel

    signature = {name: "*fp32" if name in ("a", "b", "h", "states", "products") else "i32" for name in kernel.arg_names}
    constants = {
        "REAL": tl.float32,
        "PARTS": parts,
        "BACKWARDS": True,
        "ENDS": ends,
        "STEPS": STEPS,
        "FEATURES": FEATURES,
    }
    taken = resources(kernel, signature, constants, 4, tmp_path)
    assert taken["SHARED"] <= SHARED
    assert taken["STACK"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", names("cell"))
def test_all_cells_compile_for_hopper(hopper: Callable[..., list[str]], name: str) -> None:
    """With -s, prints the resources of each."""
    sizes = {"resident": [(64, torch.float32), (128, torch.bfloat16)], "stepwise": [(512, torch.float32)]}
    for way, cases in sizes.items():
        for size, dtype in cases:
            try:
                print(*hopper(name, size, dtype, way), sep="\n")
            except NotCompilable as error:
                print(f"{name} {size} {dtype} {way}: {error}")
