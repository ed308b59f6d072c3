"""core/host.py: what a processor lacks is said before TensorFlow ends the process."""

from __future__ import annotations

import pytest

from ss_poc.core import host
from ss_poc.core.errors import ModelError

WHOLE = "fpu sse sse2 pni ssse3 sse4_1 sse4_2 avx"


def use(monkeypatch, tmp_path, text: str) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(host, "CPUINFO", tmp_path / "cpuinfo")


@pytest.mark.parametrize(("flags", "missing"), [(WHOLE.removesuffix(" avx"), "no AVX"), ("fpu sse sse2",
                                                "no SSE3, SSSE3, SSE4.1, SSE4.2, AVX"), (f"{WHOLE}2", "no AVX")])
def test_a_processor_that_lacks_an_instruction_set_is_refused_with_its_name(monkeypatch, tmp_path, flags, missing):
    use(monkeypatch, tmp_path, f"processor\t: 0\nmodel name\t: old\nflags\t\t: {flags}\n")
    with pytest.raises(ModelError, match=missing) as caught:
        host.require_processor()
    assert caught.value.what == f"this processor has {missing}" and "another machine" in caught.value.fix


@pytest.mark.parametrize("text", [f"flags\t\t: {WHOLE}\n", f"flags : {WHOLE} avx2\n", "Features : fp asimd\n", ""])
def test_a_processor_with_all_of_it_and_one_of_another_kind_are_let_through(monkeypatch, tmp_path, text):
    use(monkeypatch, tmp_path, text)
    host.require_processor()


def test_a_system_without_the_file_is_let_through(monkeypatch, tmp_path):
    monkeypatch.setattr(host, "CPUINFO", tmp_path / "none")
    host.require_processor()


@pytest.mark.parametrize(("text", "wide"), [
    (f"flags\t\t: {WHOLE} avx2 avx512f avx512bw\n", True), (f"flags\t\t: {WHOLE} avx2\n", False),
    ("Features : fp asimd sve\n", False), ("", False)])
def test_wide_vectors_are_those_of_avx_512(monkeypatch, tmp_path, text, wide):
    use(monkeypatch, tmp_path, text)
    assert host.wide_vectors() is wide
